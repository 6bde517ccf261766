"""Reading an estimator from a pickle, whichever scikit-learn saved it and whatever it needs."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

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
    stand_in: Callable[[str], Any] | None = None,
) -> Any:
    """The object in a pickle or joblib file, with its author's code from beside it.

    `facts` are what the file says and `python` the version that its `MLmodel` names, `server` is
    the directory of the image's own modules, and `stand_in` makes functions of the script that
    saved it, where they are nowhere. Raises `DeploymentError` for code that is not here or is
    another Python's, and what the objects themselves raise.
    """
    facts.refuse_foreign_code(artifact.path, python)
    with own_code_of(artifact, server, facts.script, stand_in):
        try:
            return joblib.load(artifact.path)
        except TypeError as error:
            if stand_in and facts.script:  # a class, of which nothing made up can make objects
                raise DeploymentError(
                    f"model file {artifact.path} {script_names(facts.script)}"
                ) from error
            raise


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """Within this block warnings go to the log, but those of another scikit-learn's models."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not isinstance(warning.message, InconsistentVersionWarning):  # `Versions` tells more
            logger.warning("Loading %s: %s", path, " ".join(str(warning.message).split()))
