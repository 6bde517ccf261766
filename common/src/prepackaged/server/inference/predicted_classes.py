"""Read from a model's answers which class it predicts for each row."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.signature import Signature, TensorSpec

#: Returns the class index of each row, leaving out rows without a class; None if unknown.
Classes = Callable[[Any], Array | None]

LABELLING = ("predict", "label")
SCORING = (None, "predict_proba", "predict")  # None: models of tensors have no methods


def class_reader(signature: Signature) -> Classes | None:
    """A function that reads the classes from results of the model's default method.

    A row of scores predicts the class with the highest score. None if the model knows no classes,
    or if its answers do not tell the class of a row.
    """
    names = signature.class_names
    if not names:
        return None
    if signature.method in LABELLING and all(map(_may_be_labels, signature.output_tensors)):
        places = {name: place for place, name in enumerate(names)}
        return lambda result: _of_labels(result, places)
    return (lambda result: _of_scores(result, len(names))) if _scores(signature) else None


def _may_be_labels(spec: TensorSpec) -> bool:
    """Whether one value per row may be a class label; a float is a probability."""
    is_fraction = spec.dtype is not None and spec.dtype.kind == "f"
    return not is_fraction and (spec.shape is None or len(spec.shape) == 1)


def _scores(signature: Signature) -> bool:
    """Whether answers may have a score for each class."""
    count = len(signature.class_names or ())
    tensors = signature.output_tensors
    widths = {len(each.shape or ()) > 1 and (each.shape or ())[-1] for each in tensors}
    may_be_wide = not tensors or bool(widths & {count, None})
    return count > 1 and signature.method in SCORING and may_be_wide


def _of_labels(result: Any, places: Mapping[str, int]) -> Array | None:
    if not isinstance(result, np.ndarray) or result.ndim != 1:
        return None
    found = (places.get(str(label)) for label in result.tolist())
    return np.array([place for place in found if place is not None], np.intp)


def _of_scores(result: Any, count: int) -> Array | None:
    results = result.values() if isinstance(result, dict) else (result,)
    scores = [each for each in results if _are_scores(each, count)]
    if len(scores) != 1:  # which of them it is cannot be known
        return None
    best = scores[0].argmax(axis=1)
    return np.asarray(best[~np.isnan(scores[0][np.arange(len(best)), best])])


def _are_scores(result: Any, count: int) -> bool:
    is_rows = isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] == count
    return is_rows and result.dtype.kind in "iuf"
