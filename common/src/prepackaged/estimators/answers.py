"""Find the methods of an estimator, and convert their results to payloads."""

from contextlib import suppress
from datetime import date
from typing import Any

import numpy as np

from prepackaged.arrays import Array, list_by_row
from prepackaged.errors import DeploymentError
from prepackaged.parameters import wrong_parameter

METHODS = ("predict_proba", "decision_function", "predict", "transform", "score_samples")
OF_JSON = {str, int, float, bool, type(None)}
DEFAULT_METHODS = ("predict_proba", "predict")


def methods_of(model: Any) -> tuple[str, ...]:
    """The METHODS that the estimator has."""
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
        f" set the parameter method to one that it has: {', '.join(able)}"
    )


def to_payload(result: Any, method: str) -> Any:
    """The result of an estimator's method as an ndarray; a dict for outputs of unequal classes.

    In scikit-learn, a list from `predict_proba` has [rows, classes] for each output; it becomes
    [rows, outputs, classes]. Any other list contains one item per row, as a custom `predict` may
    return it. Dates and times become text as in ISO 8601.
    """
    if isinstance(result, list):
        is_by_output = method == "predict_proba" and bool(result) and all(map(_is_matrix, result))
        return _by_row(result) if is_by_output else _of_items(result)
    if hasattr(result, "toarray"):  # a scipy sparse matrix, as vectorizers and encoders give
        return result.toarray()
    return result if isinstance(result, dict) else _with_texts(np.asarray(result))


def _by_row(outputs: list[Array]) -> Any:
    """Outputs of [rows, classes] as [rows, outputs, classes], if their class counts are equal."""
    if len({array.shape for array in outputs}) > 1:
        return {"outputs": [array.tolist() for array in outputs]}
    return np.stack(outputs, axis=1)


def _of_items(items: list[Any]) -> Array:
    """An array with an item for each row; an array of lists if the items have unequal shapes."""
    try:
        return _with_texts(np.asarray(items))
    except ValueError:
        return list_by_row([each.tolist() if hasattr(each, "tolist") else each for each in items])


def label_text(label: Any) -> str:
    """A class label as text; bytes are text in UTF-8.

    >>> label_text(b"late"), label_text(1)
    ('late', '1')
    """
    return label.decode(errors="backslashreplace") if isinstance(label, bytes) else str(label)


def _with_texts(array: Array) -> Array:
    """The array with UTF-8 and dates as text and missing dates as None, because JSON lacks both."""
    if array.dtype.kind == "M":
        texts = np.datetime_as_string(array).astype(object)
        texts[np.isnat(array)] = None
        return texts
    if array.dtype.kind not in "SO":
        return array
    values = array.ravel().tolist()
    if OF_JSON.issuperset(map(type, values)):
        return array
    return list_by_row([_plain(each) for each in values]).reshape(array.shape)


def _plain(value: Any) -> Any:
    if type(value).__name__ in ("NAType", "NaTType"):  # importing pandas is slow
        return None
    if isinstance(value, date):
        return value.isoformat()
    with suppress(UnicodeDecodeError):  # other bytes are written as Base64
        return value.decode() if isinstance(value, bytes) else value
    return value


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2
