"""What a model's inputs and outputs are, and values brought into that form without loss."""

import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from prepackaged.arrays import Array, from_lists
from prepackaged.errors import ClientError
from prepackaged.tables import PAYLOADS, numeric_if_possible

DATATYPES = {"b": "BOOL", "f": "FP", "i": "INT", "u": "UINT"}  # but for the bits
TEXT_KINDS = "OSU"  # numpy's kinds of dtype whose values are text
Shape = tuple[int, ...]
FreeShape = tuple[int | None, ...]


@dataclass(init=False)
class TensorSpec:
    """One of a model's inputs or outputs.

    `dtype` is numpy's: `str` or `object` for text, `bytes` for text that may also be any bytes
    (TensorFlow's strings), None where the model takes any number. `shape` begins with the batch
    axis; None in it is a free size, and None in its place a shape that nobody knows. A model can
    do without an `optional` input.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: FreeShape | None
    optional: bool

    def __init__(
        self,
        name: str,
        dtype: npt.DTypeLike | None,
        shape: Sequence[int | None] | None = None,
        *,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.optional = optional

    @property
    def is_text(self) -> bool:
        """Whether values are text rather than numbers."""
        return self.dtype is not None and self.dtype.kind in TEXT_KINDS

    @property
    def is_batch(self) -> bool:
        """Whether it has as many rows as the request."""
        return self.shape is not None and self.shape[:1] == (None,)

    def array(self, value: Any) -> Array:
        """A request's value, an ndarray or nested lists, as an array of this dtype and shape.

        Text becomes an object array of str. Rows come in the model's shape, or flat, or without
        (or with superfluous) axes of size 1. Raises `ClientError` that names the input, what
        was expected and what came, for another shape, no values, and values that the dtype
        cannot hold: text for numbers, 1.5 or null for integers, numbers out of range.
        """
        array = value if isinstance(value, np.ndarray) else self._listed(value)
        shape = self._fitted(array.shape)
        array = self._cast(array)
        return array if array.shape == shape else array.reshape(shape)

    def describe(self) -> dict[str, Any]:
        """Name, datatype and shape as V2 metadata has them: -1 is a free size."""
        described: dict[str, Any] = {"name": self.name}
        if datatype := self._datatype():
            described["datatype"] = datatype
        if self.shape is not None:
            described["shape"] = [-1 if size is None else size for size in self.shape]
        return described

    def _datatype(self) -> str | None:
        if self.dtype is None or self.is_text:
            return "BYTES" if self.is_text else None
        name = DATATYPES.get(self.dtype.kind)
        return f"{name}{self.dtype.itemsize * 8}" if name and name != "BOOL" else name

    def expected(self) -> str:
        """The dtype and shape in words: `float32 of shape [n, 3, ?, ?]`."""
        dtype = "numbers" if self.dtype is None else "text" if self.is_text else self.dtype.name
        return dtype if self.shape is None else f"{dtype} of shape {_shown(self.shape)}"

    def wrong(self, came: str) -> ClientError:
        """The error for something else than this input's values."""
        return ClientError(f"input {self.name!r}: expected {self.expected()}, got {came}")

    def _listed(self, value: Any) -> Array:
        if isinstance(value, list):
            return from_lists(value)
        if self.shape == () and isinstance(value, str | int | float):
            return np.asarray(value)
        raise self.wrong(PAYLOADS.get(type(value), "an object"))

    def _fitted(self, came: Shape) -> Shape:
        """The shape to bring an array of the shape that came into."""
        if 0 in came:
            raise self.wrong(f"shape {list(came)}, which has no values")
        if self.shape is None or _matches(came, self.shape):
            return came
        if rows := _same_rows(came, self.shape):
            return rows
        is_row = bool(came) and _matches(came, self.shape[1:])
        hint = "; a single row goes into one more pair of brackets" if is_row else ""
        raise self.wrong(f"shape {list(came)}{hint}")

    def _cast(self, array: Array) -> Array:
        if self.is_text:
            return self._text(array)
        if array.dtype == self.dtype:
            return array
        if array.dtype.kind not in "biuf":
            array = self._numbers(array)
        if self.dtype is None:
            return array
        return self._exact(array) if self.dtype.kind in "biu" else self._float(array)

    def _text(self, array: Array) -> Array:
        types: Any = str | bytes if self.dtype == np.dtype(bytes) else str
        objects = array.astype(object)
        self._check_each(objects, lambda value: isinstance(value, types))
        return objects

    def _numbers(self, array: Array) -> Array:
        """The numbers in an array of objects; null is NaN."""
        self._check_each(array, lambda value: value is None or isinstance(value, Real))
        return numeric_if_possible(array)

    def _check_each(self, array: Array, is_right: Callable[[Any], bool]) -> None:
        for place, value in np.ndenumerate(array):
            if not is_right(value):
                raise self._wrong_at(place, value)

    def _float(self, array: Array) -> Array:
        try:
            with np.errstate(over="raise"):
                return array.astype(self.dtype)
        except FloatingPointError:
            with np.errstate(over="ignore"):
                wrong = np.isinf(array.astype(self.dtype)) & np.isfinite(array)
            raise self._wrong_where(array, wrong) from None

    def _exact(self, array: Array) -> Array:
        with np.errstate(invalid="ignore"):
            result = array.astype(self.dtype)
        wrong = result != array
        if array.dtype.kind == "f" and result.dtype.kind in "iu":
            # Some processors make the largest integer of any larger float, which may seem equal.
            wrong |= array >= float(np.iinfo(result.dtype).max) + 1
        if wrong.any():
            raise self._wrong_where(array, wrong)
        return result

    def _wrong_where(self, array: Array, wrong: Array) -> ClientError:
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        return self._wrong_at(place, array[place])

    def _wrong_at(self, place: Shape, value: Any) -> ClientError:
        value = value.item() if isinstance(value, np.generic) else value
        shown = "null or NaN" if value is None or value != value else reprlib.repr(value)
        return self.wrong(f"{shown} at {list(place)}")


def _matches(came: Shape, wanted: FreeShape) -> bool:
    return len(came) == len(wanted) and all(
        want is None or want == size for size, want in zip(came, wanted, strict=True)
    )


def _same_rows(came: Shape, wanted: FreeShape) -> Shape | None:
    """The wanted shape where the rows that came are the same but for their brackets.

    That is: flat rows, and axes of size 1 that are missing or too many.
    """
    sizes = [size for size in wanted[1:] if size is not None]
    if len(came) in (0, len(wanted)) or len(sizes) + 1 != len(wanted):
        return None
    is_flat = len(came) == 2 and came[1] == math.prod(sizes)
    is_alike = [size for size in came[1:] if size != 1] == [size for size in sizes if size != 1]
    full = (came[0], *sizes)
    return full if (is_flat or is_alike) and _matches(full, wanted) else None


def _shown(shape: FreeShape) -> str:
    """A shape as people write it: n is the batch, ? any other free size."""
    names = ["n", *"?" * len(shape)]
    shown = [name if size is None else str(size) for name, size in zip(names, shape, strict=False)]
    return f"[{', '.join(shown)}]"
