"""Try a copy of an estimator at startup; list the parts of an estimator."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

from prepackaged.errors import DeploymentError, describe
from prepackaged.estimators.answers import methods_of

logger = logging.getLogger(__name__)

NAME_AS_INDEX = "only integers, slices"  # NumPy's error for a column's name as index


def parts_of(estimator: Any) -> Iterator[Any]:
    """An estimator and everything in it, once each: steps, members of ensembles, parameters."""
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
    """Set `n_jobs` in the estimator and everything in it.

    A request has too few rows for parallel jobs: joblib's processes cost hundreds of megabytes and
    seconds, and threads cost more time than they save.
    """
    for part in parts_of(estimator):
        if getattr(part, "n_jobs", None) not in (None, jobs):
            part.n_jobs = jobs


class Tried(NamedTuple):
    """A request that a copy of the model has answered, and its result; both None if none was."""

    request: Any
    result: Any


def try_out(
    estimator: Any,
    method: str,
    requests: Iterable[Any],
    rows: Callable[[Any], Any],
    advice: str,
) -> Tried | None:
    """Let a copy of the estimator answer one of these requests; None if there are none.

    `rows` converts a request to the estimator's input. A failure is only logged, because the
    request may not fit the model. If no request can be answered, raises `DeploymentError` with
    `advice`.
    """
    tried = None
    for request in requests:
        tried = Tried(None, None)
        # OpenMP's threads would not survive the fork of upstream's microservice.
        with warnings.catch_warnings(), threadpool_limits(limits=1):
            warnings.simplefilter("ignore")
            try:
                return Tried(request, getattr(copy.deepcopy(estimator), method)(rows(request)))
            except Exception as error:
                if is_hopeless(error):
                    why = f"this model cannot answer: {describe(error)}"
                    raise DeploymentError("; ".join(filter(None, (why, advice)))) from error
                logger.debug("A trial before ready failed", exc_info=True)
    return tried


def reads_names(step: Any, count: int) -> bool:
    """Whether an author's step reads its `count` columns by name, so that a copy fails on an array.

    Such a step was trained on a DataFrame, even if it stored no names.
    """
    known = methods_of(step)
    method = "transform" if "transform" in known else next(iter(known), "transform")
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore")
        try:
            getattr(copy.deepcopy(step), method)(np.zeros((1, count)))
        except (AttributeError, IndexError) as error:
            is_read = isinstance(getattr(error, "obj", None), np.ndarray)
            return is_read or NAME_AS_INDEX in str(error)
        except Exception:  # the zeros or anything else may have caused it
            logger.debug("A trial with an array failed", exc_info=True)
    return False


def takes_items(step: Any, items: list[Any]) -> bool:
    """Whether a copy of an author's first step returns one row for each of these items."""
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore")
        try:
            return bool(copy.deepcopy(step).transform(items).shape[0] == len(items))
        except Exception:  # it takes some other input
            logger.debug("A trial with items failed", exc_info=True)
            return False


def is_hopeless(error: Exception) -> bool:
    """Whether the error shows that no request can be answered.

    Either the estimator was never fitted, or it lacks attributes because another scikit-learn
    version saved it.
    """
    if isinstance(error, NotFittedError):
        return True
    owner = type(getattr(error, "obj", None)).__module__.partition(".")[0]
    return isinstance(error, AttributeError) and owner == "sklearn"
