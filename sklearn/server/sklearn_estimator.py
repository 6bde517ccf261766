"""What the server needs to know of an estimator: its file, its methods, its answers, its errors."""

import logging
import re
import traceback
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import joblib
import numpy as np
from sklearn import __version__ as sklearn_version
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from prepackaged import (
    Artifact,
    ClientError,
    DeploymentError,
    ModelError,
    describe,
    find_cell,
)

logger = logging.getLogger(__name__)

METHODS = ("predict_proba", "decision_function", "predict", "transform", "score_samples")
DEFAULT_METHODS = ("predict_proba", "predict")
# Whose ValueError is a verdict on the data rather than a mistake in an author's own step.
VALIDATING_PACKAGES = {"sklearn", "numpy", "scipy", "pandas"}
# Estimators that hand on what they get to estimators inside them, which may want names.
MADE_OF_OTHERS = (MetaEstimatorMixin, ColumnTransformer, FeatureUnion, Pipeline)


def read(artifact: Artifact, trusted_types: Sequence[str]) -> tuple[Any, str]:
    """The fitted estimator in the file, and the version of scikit-learn that saved it."""
    with artifact.reading(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if artifact.name.endswith(".skops"):
            model = _read_skops(artifact, trusted_types)
        else:
            model = joblib.load(artifact.path)
    _check_usable(model, artifact)
    return model, _version_told_by(caught, artifact)


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

    A multi-output classifier's list of [rows, classes] becomes [rows, outputs, classes].
    """
    if isinstance(result, list):
        if len({array.shape for array in result}) > 1:
            return {"outputs": [array.tolist() for array in result]}
        return np.stack(result, axis=1)
    if hasattr(result, "toarray"):  # a scipy sparse matrix, as vectorizers and encoders give
        return result.toarray()
    return np.asarray(result)


def blame(error: Exception, rows: Any) -> ClientError | ModelError:
    """The error to answer with: the data's fault where scikit-learn's own checks refuse it."""
    if isinstance(error, ValueError) and _innermost_package(error) in VALIDATING_PACKAGES:
        why = describe(error).rstrip(".:")
        return ClientError(f"the model refuses the data: {why}{_cell_at_fault(error, rows)}")
    logger.error("The model failed", exc_info=error)
    return ModelError(f"the model failed: {describe(error)}")


def _is_sure_to_ignore_names(part: Any) -> bool:
    if not (isinstance(part, BaseEstimator) and type(part).__module__.startswith("sklearn.")):
        return False
    return not (
        isinstance(part, MADE_OF_OTHERS)
        or "_sklearn_output_config" in vars(part)  # set_output: answers under names
        or any(callable(each) or hasattr(each, "fit") for each in vars(part).values())
    )


def _read_skops(artifact: Artifact, trusted_types: Sequence[str]) -> Any:
    import skops.io  # slow to import, and few models need it

    untrusted = set(skops.io.get_untrusted_types(file=artifact.path)) - set(trusted_types)
    if untrusted:
        raise DeploymentError(
            f"model file {artifact.path} holds types that are not trusted by default. If you trust"
            f" the file, set the parameter trusted_types to {','.join(sorted(untrusted))}"
        )
    return skops.io.load(artifact.path, trusted=list(trusted_types))


def _check_usable(model: Any, artifact: Artifact) -> None:
    if not methods_of(model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise DeploymentError(
            f"model file {artifact.path} holds a {kind}, which has none of the methods"
            f" {', '.join(METHODS)}: not a scikit-learn estimator that can answer"
        )
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise DeploymentError(f"model file {artifact.path}: {describe(error)}") from error
    except TypeError:
        pass  # not scikit-learn's own class: it need not keep scikit-learn's conventions


def _version_told_by(caught: Sequence[warnings.WarningMessage], artifact: Artifact) -> str:
    version = str(sklearn_version)
    for warning in caught:
        if isinstance(warning.message, InconsistentVersionWarning):
            version = str(warning.message.original_sklearn_version)
        else:
            logger.warning("Loading %s: %s", artifact.path, warning.message)
    if version != sklearn_version:
        logger.warning(
            "%s was saved by scikit-learn %s and is served by %s: answers may differ;"
            " an image of the same version is safer",
            artifact.path, version, sklearn_version,
        )  # fmt: skip
    return version


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
