"""What the server needs to know of an estimator: its methods, its answers, its errors."""

import logging
import re
import traceback
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from prepackaged.errors import ClientError, DeploymentError, ModelError, describe
from prepackaged.tables import find_cell

logger = logging.getLogger(__name__)

METHODS = ("predict_proba", "decision_function", "predict", "transform", "score_samples")
DEFAULT_METHODS = ("predict_proba", "predict")
# Whose ValueError is a verdict on the data rather than a mistake in an author's own step.
VALIDATING_PACKAGES = {"sklearn", "numpy", "scipy", "pandas"}
# Estimators that hand on what they get to estimators inside them, which may want names.
MADE_OF_OTHERS = (MetaEstimatorMixin, ColumnTransformer, FeatureUnion, Pipeline)


def methods_of(model: Any) -> tuple[str, ...]:
    """The METHODS that an estimator has."""
    return tuple(method for method in METHODS if callable(getattr(model, method, None)))


def choose_method(model: Any, wanted: str | None) -> str:
    """The estimator's method that answers requests: `wanted`, else the first default it has."""
    able = methods_of(model)
    if wanted and wanted not in METHODS:
        raise DeploymentError(
            f"the parameter method must be one of {', '.join(METHODS)}; not {wanted!r}"
        )
    for method in [wanted] if wanted else DEFAULT_METHODS:
        if method in able:
            return method
    raise DeploymentError(
        f"this {type(model).__name__} has no {wanted or ' and no '.join(DEFAULT_METHODS)};"
        f" set the parameter method to what it has: {', '.join(able)}"
    )


def forget_names(model: Any) -> bool:
    """Whether no answer of the model depends on column names; it has forgotten them then.

    This is sure of scikit-learn's own estimators that hold no other estimator and no function,
    and of pipelines of these: they make an array of a DataFrame before anything else, at four
    times the price of an answer to one row, and warn of an array only while they know names.
    """
    parts = [step for _, step in model.steps] if type(model) is Pipeline else [model]
    if not all(_is_sure_to_ignore_names(part) for part in parts):
        return False
    for part in parts:
        vars(part).pop("feature_names_in_", None)
    return True


def to_payload(result: Any) -> Any:
    """An estimator's answer as an ndarray; a dict where outputs have unequal numbers of classes.

    A multi-output classifier's list of [rows, classes] becomes [rows, outputs, classes]. A list
    of anything else has a row in each of its items, as a `predict` of one's own may give it.
    """
    if isinstance(result, list) and result and all(map(_is_matrix, result)):
        if len({array.shape for array in result}) > 1:
            return {"outputs": [array.tolist() for array in result]}
        return np.stack(result, axis=1)
    if hasattr(result, "toarray"):  # a scipy sparse matrix, as vectorizers and encoders give
        return result.toarray()
    return result if isinstance(result, dict) else np.asarray(result)


def blame(error: Exception, rows: Any, advice: str = "") -> ClientError | ModelError:
    """The error to answer with: the data's fault where scikit-learn's own checks refuse it.

    `advice` is what to do where another version saved the model, which then may be at fault.
    """
    if isinstance(error, ValueError) and _innermost_package(error) in VALIDATING_PACKAGES:
        why = describe(error).rstrip(".:")
        return ClientError(f"the model refuses the data: {why}{_cell_at_fault(error, rows)}")
    logger.error("The model failed", exc_info=error)
    why = f"the model failed: {describe(error)}"
    return ModelError("; ".join(filter(None, (why, advice))))


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2


def _is_sure_to_ignore_names(part: Any) -> bool:
    if not (isinstance(part, BaseEstimator) and type(part).__module__.startswith("sklearn.")):
        return False
    return not (
        isinstance(part, MADE_OF_OTHERS)
        or "_sklearn_output_config" in vars(part)  # set_output: answers under names
        or any(callable(each) or hasattr(each, "fit") for each in vars(part).values())
    )


def _innermost_package(error: Exception) -> str:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _cell_at_fault(error: Exception, rows: Any) -> str:
    """Where in the request the value is that scikit-learn's message speaks of, as a sentence."""
    if text := re.search(r"could not convert string to float: .*?'(.*)'", str(error)):
        cell = find_cell(rows, lambda value: value == text[1])
    elif "NaN" in str(error) or "infinity" in str(error):
        cell = find_cell(rows, _is_not_finite)
    else:
        cell = None
    if cell is None:
        return ""
    row, column, value = cell
    return f"; row {row}, column {column} is {'null or NaN' if value != value else repr(value)}"


def _is_not_finite(value: Any) -> bool:
    # Trees convert to float32, so that a larger number is infinite to them; NaN compares false.
    return isinstance(value, Real) and not abs(float(value)) <= np.finfo(np.float32).max
