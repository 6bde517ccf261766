"""An example request for a model, made from its signature."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from prepackaged.example_values import example_values
from prepackaged.signature import Signature, TensorSpec

LONGEST = 1000  # the most characters of an example in an error
DOCUMENTED = 20_000  # the most characters of an example for programs and forms
SHORTEST = 3  # the fewest characters of a value and its separator


def example_request(signature: Signature | None, longest: int = LONGEST) -> str | None:
    """The JSON of a Seldon message; None if the inputs are unknown or the message would be long.

    Values have the right types and known categories; they need not make sense.
    """
    message = example_message(signature, longest // SHORTEST)
    text = message and json.dumps(message)
    return text if text and len(text) <= longest else None


def example_message(
    signature: Signature | None, most_values: int, free_size: int = 1
) -> dict[str, Any] | None:
    """A Seldon message of one row; None if inputs are unknown or exceed `most_values`.

    Free sizes of a tensor, except for the batch, become `free_size`.
    """
    if signature is None or not signature.inputs:
        return None
    tensors = signature.input_tensors
    if tensors:
        return _of_tensors(tensors, most_values, free_size)
    return _of_columns(signature.inputs) if len(signature.inputs) <= most_values else None


def _of_columns(columns: Sequence[Any]) -> dict[str, Any]:
    data = {"ndarray": [[next(iter(example_values(each)), "a") for each in columns]]}
    names = [column.name for column in columns]
    return {"data": data if None in names else {"names": names, **data}}


def _of_tensors(
    tensors: Sequence[TensorSpec], most_values: int, free_size: int
) -> dict[str, Any] | None:
    needed = [spec for spec in tensors if not spec.optional] or [*tensors[:1]]
    shapes = [_shape(spec, free_size) for spec in needed]
    if sum(map(math.prod, shapes)) > most_values:
        return None
    values = {spec.name: _array(spec, shape) for spec, shape in zip(needed, shapes, strict=True)}
    if len(values) > 1:
        return {"jsonData": values}
    (only,) = values.values()
    return {"data": {"ndarray": only}}


def _shape(spec: TensorSpec, free_size: int) -> list[int]:
    """The shape of one row, with `free_size` for free sizes."""
    known = (1, 1) if spec.shape is None else spec.shape
    shape = [free_size if size is None else size for size in known]
    return [1, *shape[1:]] if spec.is_batch else shape


def _array(spec: TensorSpec, shape: list[int]) -> Any:
    """An example value in nested lists of this shape."""
    kind = "U" if spec.is_text else "f" if spec.dtype is None else spec.dtype.kind
    value: Any = {"U": "a", "S": "a", "b": True, "i": 1, "u": 1}.get(kind, 0.5)
    return np.full(shape, value, dtype=object).tolist()
