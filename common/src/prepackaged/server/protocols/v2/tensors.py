"""An input of a request: its declaration, and its values as an array.

Any error is a `ClientError` that names the input, what was expected and what it got; numbers are
cast without loss, as in `tensor_values`.
"""

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from prepackaged.arrays import Array, UnequalLengthsError, from_lists, list_by_row
from prepackaged.errors import ClientError
from prepackaged.server.protocols.shapes import shown_shape
from prepackaged.server.protocols.v2 import raw
from prepackaged.server.protocols.v2.datatypes import BYTES, Datatype, spec_of
from prepackaged.tensor_values import cast_to

TEXTS = {str, bytes}
LONGEST_NAME = 60  # the most characters of a name in an error message


@dataclass(slots=True)
class Tensor:
    """An input of a request, with checked shape and datatype.

    Its values are in `values` (nested lists or an array of numbers) or in `content` (the bytes of a
    binary tensor).
    """

    name: str
    datatype: Datatype
    shape: list[int]
    values: Any = None
    content: "bytes | memoryview | None" = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label of the input in error messages."""
        return label_of(self.name)

    @property
    def content_type(self) -> Any:
        """The content type that MLServer's clients send; None if there is none."""
        return self.parameters.get("content_type")

    def wrong(self, what: Any) -> ClientError:
        """The error about this input."""
        return ClientError(f"{self.label}: {what}")

    def array(self) -> Array:
        """The values in the declared shape and dtype; BYTES become str or bytes objects."""
        if self.content is not None:
            array: Array = self._labelled(raw.read, self.content, self.datatype, self.shape)
            return array
        return self._texts() if self.datatype is BYTES else self._numbers()

    def flat(self) -> list[Any]:
        """The JSON values as a flat list, however they are nested."""
        values = [] if self.values is None else self.values
        if isinstance(values, np.ndarray):
            values = values.tolist()
        if values and type(values[0]) is list:
            return list(self._labelled(flattened, values, self.shape))
        self._check_count(len(values))
        return list(values)

    def wrong_at(self, number: int, what: str, value: Any) -> ClientError:
        """The error for the value at a position, counted from 0 in row-major order."""
        place = [int(index) for index in np.unravel_index(number, self.shape or (1,))]
        shown = "null" if value is None else reprlib.repr(value)
        return self.wrong(f"expected {what} at {place}, got {shown}")

    def _labelled(self, function: Callable[..., Any], *values: Any) -> Any:
        try:
            return function(*values)
        except ClientError as error:
            raise self.wrong(error) from error

    def _check_count(self, count: int) -> None:
        if count != math.prod(self.shape):
            places, shape = math.prod(self.shape), shown_shape(self.shape)
            raise self.wrong(f"expected {places} values for shape {shape}, got {count}")

    def _numbers(self) -> Array:
        values = [] if self.values is None else self.values
        array = values if isinstance(values, np.ndarray) else self._listed(values)
        if list(array.shape) != self.shape:
            array = self._in_shape(array)
        if array.dtype == self.datatype.dtype:
            return array
        return cast_to(spec_of(cut_name(self.name), self.datatype), array)

    def _listed(self, values: list[Any]) -> Array:
        try:
            return from_lists(values)
        except UnequalLengthsError as error:
            (_, length), (place, _) = error.lengths.items()
            is_flat = length is None and len(place) == 1
            why = f"expected numbers in flat data, got a list at data[{place[0]}]"
            raise self.wrong(why if is_flat else error) from error
        except ClientError as error:
            raise self.wrong(error) from error

    def _in_shape(self, array: Array) -> Array:
        if array.ndim > 1:
            nested = shown_shape(array.shape)
            raise self.wrong(f"expected shape {shown_shape(self.shape)}, got lists of {nested}")
        self._check_count(array.size)
        return array.reshape(self.shape)

    def _texts(self) -> Array:
        values = self.flat()
        if not set(map(type, values)) <= TEXTS:
            number = next(place for place, value in enumerate(values) if type(value) not in TEXTS)
            raise self.wrong_at(number, "a string", values[number])
        return list_by_row(values).reshape(self.shape)


def flattened(lists: list[Any], shape: Sequence[int]) -> list[Any]:
    """The values of lists nested by the shape. Raises `ClientError` for other lists."""
    level = [lists]
    for size in shape:
        for each in level:
            if type(each) is not list or len(each) != size:
                got = f"{len(each)} values" if type(each) is list else "a value"
                raise ClientError(
                    f"expected lists as shape {shown_shape(shape)} nests them,"
                    f" got {got} in place of a list of {size}"
                )
        level = list(chain.from_iterable(level))
    return level


def label_of(name: str) -> str:
    """The label of an input with this name, for error messages."""
    return f"input {cut_name(name)!r}"


def label_of_all(tensors: Sequence[Tensor]) -> str:
    """The label of all inputs of a request, for error messages."""
    first, last = tensors[0], tensors[-1]
    return (
        first.label
        if first is last
        else f"inputs {cut_name(first.name)!r} to {cut_name(last.name)!r}"
    )


def cut_name(name: str) -> str:
    """A name of limited length, for error messages."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
