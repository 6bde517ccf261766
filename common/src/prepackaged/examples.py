"""An example request for a model, made from its signature."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from prepackaged.example_values import example_values
from prepackaged.signature import Signature, TensorSpec

LONGEST = 1000  # characters of an example; a longer one helps nobody
MOST_VALUES = 300  # so that no longer one is made


def example_request(signature: Signature | None) -> str | None:
    """The JSON of a Seldon message; None if the inputs are unknown or the message would be long.

    Values have the right types and known categories; they need not make sense.
    """
    if signature is None or not signature.inputs:
        return None
    tensors = signature.input_tensors
    message = _of_tensors(tensors) if tensors else _of_columns(signature.inputs)
    text = message and json.dumps(message)
    return text if text and len(text) <= LONGEST else None


def _of_columns(columns: Sequence[Any]) -> dict[str, Any] | None:
    if len(columns) > MOST_VALUES:
        return None
    data = {"ndarray": [[next(iter(example_values(each)), "a") for each in columns]]}
    names = [column.name for column in columns]
    return {"data": data if None in names else {"names": names, **data}}


def _of_tensors(tensors: Sequence[TensorSpec]) -> dict[str, Any] | None:
    needed = [spec for spec in tensors if not spec.optional] or [*tensors[:1]]
    values = {spec.name: _array(spec) for spec in needed}
    if None in values.values():
        return None
    if len(values) > 1:
        return {"jsonData": values}
    (only,) = values.values()
    return {"data": {"ndarray": only}}


def _array(spec: TensorSpec) -> Any:
    """A value in nested lists of the tensor's shape, free sizes being 1; None for many values."""
    known = (1, 1) if spec.shape is None else spec.shape
    shape = [1 if size is None else size for size in known]
    if math.prod(shape) > MOST_VALUES:
        return None
    kind = "U" if spec.is_text else "f" if spec.dtype is None else spec.dtype.kind
    value: Any = {"U": "a", "S": "a", "b": True, "i": 1, "u": 1}.get(kind, 0.5)
    return np.full(shape, value, dtype=object).tolist()
