"""The methods of an estimator, and their results as answers."""

from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.errors import DeploymentError
from prepackaged.parameters import wrong_parameter

METHODS = ("predict_proba", "decision_function", "predict", "transform", "score_samples")
DEFAULT_METHODS = ("predict_proba", "predict")


def methods_of(model: Any) -> tuple[str, ...]:
    """The estimator's methods, of METHODS."""
    return tuple(method for method in METHODS if callable(getattr(model, method, None)))


def choose_method(model: Any, wanted: str | None) -> str:
    """The method that answers requests: `wanted`, else the first default that the estimator has."""
    able = methods_of(model)
    if wanted and wanted not in METHODS:
        raise wrong_parameter("method", f"one of {', '.join(METHODS)}", wanted)
    for method in [wanted] if wanted else DEFAULT_METHODS:
        if method in able:
            return method
    raise DeploymentError(
        f"this {type(model).__name__} has no {wanted or ' and no '.join(DEFAULT_METHODS)};"
        f" set the parameter method to what it has: {', '.join(able)}"
    )


def to_payload(result: Any) -> Any:
    """An estimator's result as an ndarray; a dict if outputs have unequal numbers of classes.

    A multi-output classifier's list of [rows, classes] becomes [rows, outputs, classes]. Any other
    list contains one item per row, as a custom `predict` may return it.
    """
    if isinstance(result, list) and result and all(map(_is_matrix, result)):
        if len({array.shape for array in result}) > 1:
            return {"outputs": [array.tolist() for array in result]}
        return np.stack(result, axis=1)
    if hasattr(result, "toarray"):  # a scipy sparse matrix, as vectorizers and encoders give
        return result.toarray()
    return result if isinstance(result, dict) else _with_texts(np.asarray(result))


def label_text(label: Any) -> str:
    """A class label as text; bytes are text in UTF-8.

    >>> label_text(b"late"), label_text(1)
    ('late', '1')
    """
    return label.decode(errors="backslashreplace") if isinstance(label, bytes) else str(label)


def _with_texts(array: Array) -> Array:
    """The array, with texts for bytes, which JSON does not have."""
    if array.dtype.kind != "S":
        return array
    return np.array([label_text(each) for each in array.flat]).reshape(array.shape)


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2
