"""What servers of scikit-learn estimators share: reading a pickle, trying it out, its threads.

Imported by images that have scikit-learn; `prepackaged` itself does not import it.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from threadpoolctl import threadpool_limits

from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError, describe
from prepackaged.own_code import own_code_of
from prepackaged.pickles import PickleFacts
from prepackaged.versions import Versions

logger = logging.getLogger(__name__)

SKLEARN = "scikit-learn"
HERE = {SKLEARN: version(SKLEARN)}


def load_pickle(
    artifact: Artifact,
    facts: PickleFacts,
    versions: Versions,
    server: Path,
    stand_in: Callable[[str], Any] | None = None,
) -> Any:
    """The object in a pickle or joblib file, with its author's code from beside it.

    `facts` are what the file says, `server` is the directory of the image's own modules and
    `stand_in` what makes up functions of the script that saved it, where they are nowhere.
    Raises `DeploymentError`, which names the versions where they differ.
    """
    facts.refuse_foreign_code(artifact.path, versions.python)
    with (
        artifact.reading(versions.advice()),
        logged_warnings(artifact.path),
        own_code_of(artifact, server, facts.script, stand_in),
    ):
        return joblib.load(artifact.path)


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """Within this block warnings go to the log, but those of another scikit-learn's models."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not isinstance(warning.message, InconsistentVersionWarning):  # `Versions` tells more
            logger.warning("Loading %s: %s", path, " ".join(str(warning.message).split()))


def parts_of(estimator: Any) -> Iterator[Any]:
    """An estimator and all that it holds, once each: steps, members of ensembles, parameters."""
    waiting, seen = [estimator], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str | bytes | int | float) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple | set):
            waiting += each
        elif isinstance(each, np.ndarray):
            waiting += each.ravel().tolist() if each.dtype == object else []
        elif not isinstance(each, type) and (hasattr(each, "get_params") or each is estimator):
            yield each
            waiting += getattr(each, "__dict__", {}).values()


def set_jobs(estimator: Any, jobs: int) -> None:
    """Let the estimator and all that it holds share out a call among so many jobs.

    A request's rows are too few to be worth it: processes of joblib's cost hundreds of megabytes
    and seconds, threads more time than they save.
    """
    for part in parts_of(estimator):
        if getattr(part, "n_jobs", None) not in (None, jobs):
            part.n_jobs = jobs


def try_out(
    estimator: Any,
    method: str,
    requests: Iterable[Any],
    rows: Callable[[Any], Any],
    advice: str,
) -> None:
    """Let a copy of the estimator answer one of these requests before anybody asks.

    `rows` makes of a request what the estimator takes. What fails is only logged, because the
    request may not be what the model wants, unless no request can be answered: then it raises
    `DeploymentError`, with `advice`.
    """
    for request in requests:
        # Threads of OpenMP, once started, would not survive the fork of upstream's microservice.
        with warnings.catch_warnings(), threadpool_limits(limits=1):
            warnings.simplefilter("ignore")
            try:
                getattr(copy.deepcopy(estimator), method)(rows(request))
            except Exception as error:
                if is_hopeless(error):
                    why = f"this model cannot answer: {describe(error)}"
                    raise DeploymentError("; ".join(filter(None, (why, advice)))) from error
                logger.debug("A trial before ready failed", exc_info=True)
            else:
                return


def is_hopeless(error: Exception) -> bool:
    """Whether no request can be answered, because the fault is the estimator's and not the data's.

    So it is where the estimator was never fitted, and where it lacks what scikit-learn of another
    version did not give it.
    """
    if isinstance(error, NotFittedError):
        return True
    owner = type(getattr(error, "obj", None)).__module__.partition(".")[0]
    return isinstance(error, AttributeError) and owner == "sklearn"
