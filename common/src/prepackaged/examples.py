"""An example request for a model, made from its signature."""

import json
from collections.abc import Mapping
from typing import Any

from prepackaged.arrays import Array
from prepackaged.example_inputs import made_up
from prepackaged.example_values import example_values
from prepackaged.signature import Column, Signature

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


def example_message(signature: Signature | None, most_values: int) -> dict[str, Any] | None:
    """A Seldon message of one row; None if inputs are unknown or exceed `most_values`.

    It has the tensors that the model has answered when it was tried; None if it answered none.
    """
    if signature is None or not signature.inputs:
        return None
    if signature.input_tensors:
        return message_of(example_tensors(signature, most_values))
    return _of_columns(signature) if len(signature.inputs) <= most_values else None


def example_row(signature: Signature) -> list[Any] | None:
    """A value for each column of a table: a row that was tried, else made-up values.

    None if the model has refused all that were tried.
    """
    if signature.example is not None and not signature.example:
        return None
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    return [_value(each, place, signature.example or {}) for place, each in enumerate(columns)]


def _value(column: Column, place: int, known: Mapping[str, Array]) -> Any:
    array = known.get(str(place) if column.name is None else column.name)
    return next(iter(example_values(column)), "a") if array is None else array.tolist()[0]


def example_tensors(signature: Signature, most_values: int) -> Mapping[str, Array]:
    """The inputs of an example by name; empty if there is none, or it exceeds `most_values`."""
    arrays = signature.example
    if arrays is None:  # nothing was tried
        arrays = next(made_up(signature.input_tensors), {})
    is_short = sum(each.size for each in arrays.values()) <= most_values
    return arrays if is_short else {}


def message_of(arrays: Mapping[str, Array]) -> dict[str, Any] | None:
    """The Seldon message with these tensors by name; None if there are none."""
    values = {name: array.tolist() for name, array in arrays.items()}
    if len(values) > 1:
        return {"jsonData": values}
    return {"data": {"ndarray": next(iter(values.values()))}} if values else None


def _of_columns(signature: Signature) -> dict[str, Any] | None:
    row = example_row(signature)
    if row is None:
        return None
    names = [each.name for each in signature.inputs or ()]
    data = {"ndarray": [row]}
    return {"data": data if None in names else {"names": names, **data}}
