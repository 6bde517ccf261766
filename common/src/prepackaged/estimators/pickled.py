"""Read an estimator from a pickle, with the code of its author."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
from joblib import numpy_pickle, numpy_pickle_compat
from sklearn.exceptions import InconsistentVersionWarning

from prepackaged.allowed_imports import AllowedImports
from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError
from prepackaged.load_errors import script_names
from prepackaged.own_code import own_code_of
from prepackaged.pickles import PickleFacts

logger = logging.getLogger(__name__)

SKLEARN = "scikit-learn"
HERE = {SKLEARN: version(SKLEARN)}


def load_pickle(
    artifact: Artifact,
    facts: PickleFacts,
    python: str,
    server: Path,
    allowed: AllowedImports,
    stand_in: Callable[[str], Any] | None = None,
) -> Any:
    """The object in a pickle or joblib file; code comes from the files beside it.

    `facts` are the file's facts, `python` is the version in its `MLmodel`, `server` the directory
    of the image's own modules, and `allowed` are the names that the file may import. `stand_in`
    creates functions of the script that saved it, if they cannot be found. Raises
    `DeploymentError` for code that is missing, not allowed, or of another Python version, and
    whatever the objects themselves raise.
    """
    allowed.check(artifact.path)
    facts.refuse_foreign_code(artifact.path, python)
    with own_code_of(artifact, server, facts.script, stand_in), importing(allowed, artifact.path):
        try:
            return joblib.load(artifact.path)
        except TypeError as error:
            if stand_in and facts.script:  # no stand-in can create objects of a missing class
                raise DeploymentError(
                    f"model file {artifact.path} {script_names(facts.script)}"
                ) from error
            raise


@contextmanager
def importing(allowed: AllowedImports, path: Path) -> Iterator[None]:
    """In this block, joblib imports only the allowed names for a pickle."""
    unpicklers = ((numpy_pickle, "NumpyUnpickler"), (numpy_pickle_compat, "ZipNumpyUnpickler"))
    kept = [(module, name, getattr(module, name)) for module, name in unpicklers]
    for module, name, unpickler in kept:
        setattr(module, name, allowed.restricted(unpickler, path))
    try:
        yield
    finally:
        for module, name, unpickler in kept:
            setattr(module, name, unpickler)


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """In this block, warnings go to the log, except those about other scikit-learn versions."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not isinstance(warning.message, InconsistentVersionWarning):  # `Versions` tells more
            logger.warning("Loading %s: %s", path, " ".join(str(warning.message).split()))
