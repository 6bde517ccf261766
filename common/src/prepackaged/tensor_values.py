"""Convert values of requests to the dtype and shape of a `TensorSpec`, without loss."""

import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from prepackaged.arrays import (
    Array,
    UnequalLengthsError,
    from_lists,
    list_with_length,
    numeric_if_possible,
)
from prepackaged.b64 import decode_b64, is_b64
from prepackaged.errors import ClientError
from prepackaged.sheets import PAYLOADS
from prepackaged.signature import BATCH, FreeShape, TensorSpec

Shape = tuple[int, ...]


def to_array(spec: TensorSpec, value: Any) -> Array:
    """Convert a request's value, an ndarray or nested lists, to the input's dtype and shape.

    Text becomes an object array of str, and of bytes for `{"b64": ...}`. Rows may have the model's
    shape, be flat, or have missing or superfluous axes of size 1. A single value is accepted if all
    axes of the input are free or of size 1, or if its shape is unknown. An empty list also stands
    for all further axes.

    Raises `ClientError`, with the input's name, for a wrong shape and for values that the dtype
    cannot hold: text for numbers, 1.5 or null for integers, numbers out of range.
    """
    array = value if isinstance(value, np.ndarray) else _listed(spec, value)
    shape = _fitted(spec, array.shape)
    array = cast_to(spec, array)
    return array if array.shape == shape else array.reshape(shape)


def check_sizes(specs: Iterable[TensorSpec], arrays: Mapping[str, Array]) -> None:
    """Raise `ClientError` if axes of the same name differ in size; `arrays` are by input name."""
    if differing := differing_sizes(specs, arrays):
        raise ClientError(f"expected {differing}")


def differing_sizes(specs: Iterable[TensorSpec], arrays: Mapping[str, Array]) -> str:
    """The first axes of the same name that differ in size, as text; empty if there are none."""
    sizes: dict[str, tuple[int, str]] = {}
    for spec in (spec for spec in specs if spec.name in arrays):
        for axis, size in zip(spec.axes, arrays[spec.name].shape, strict=False):
            if axis is None:
                continue
            known, owner = sizes.setdefault(axis, (size, spec.name))
            if size != known:
                what = "as many rows in every input" if axis == BATCH else _one_size(axis)
                return f"{what}; {owner!r} has {known}, {spec.name!r} has {size}"
    return ""


def _one_size(axis: str) -> str:
    return f"one size of {axis!r}, an axis of several inputs"


def _wrong(spec: TensorSpec, got: str) -> ClientError:
    return ClientError(f"input {spec.name!r}: expected {spec.expected()}, got {got}")


def check_range(name: str, array: Array, kept: Array, dtype: str, limits: tuple[Any, Any]) -> None:
    """Raise `ClientError` for numbers that are too large for a dtype that numpy lacks.

    `kept` are the numbers of the input `name` after the conversion to `dtype` and back; `limits`
    are the smallest and the largest number of this dtype. Floats are rounded, as in every
    framework, but finite numbers must stay finite.
    """
    is_float = array.dtype.kind == "f"
    wrong = np.isfinite(array) & ~np.isfinite(kept) if is_float else kept != array
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        raise ClientError(
            f"input {name!r}: expected {dtype} from {limits[0]} to {limits[1]},"
            f" got {array[place]} at {list(place)}"
        )


def unequal_lengths(spec: TensorSpec, error: UnequalLengthsError) -> ClientError:
    """The error for an input: the list whose length its shape forbids, else both lengths."""
    axis = len(next(iter(error.lengths)))
    is_free = spec.shape is None or spec.shape[axis : axis + 1] == (None,)
    (wanted,) = (spec.shape or ())[axis : axis + 1] or [None]  # None is a single value
    wrong = [each for each in error.lengths.items() if is_free or each[1] != wanted]
    told = ", ".join(list_with_length(*each) for each in wrong)
    lists = ", in lists of equal length" if len(wrong) > 1 else ""
    return ClientError(f"input {spec.name!r}: expected {spec.expected()}{lists}; {told}")


def _listed(spec: TensorSpec, value: Any) -> Array:
    if isinstance(value, list):
        try:
            return from_lists(value)
        except UnequalLengthsError as error:
            raise unequal_lengths(spec, error) from None
    is_text = isinstance(value, str | bytes) or is_b64(value)
    is_right = is_text if spec.is_text else isinstance(value, int | float)
    if is_right and set(spec.shape or ()) <= {None, 1}:
        one = np.empty((1,) * len(spec.shape or ()), object)
        one.fill(value)  # numpy.full would strip zero bytes at the end
        return one
    raise _wrong(spec, PAYLOADS.get(type(value), "an object"))


def _fitted(spec: TensorSpec, got: Shape) -> Shape:
    """The shape into which an array of shape `got` is reshaped."""
    wanted = spec.shape
    if wanted is None or _matches(got, wanted):
        return got
    if not wanted and set(got) <= {1}:
        return ()
    if 0 in got and _matches(got, wanted[: len(got)]):
        return (*got, *(size or 0 for size in wanted[len(got) :]))
    if rows := _same_rows(got, wanted):
        return rows
    is_row = bool(got) and _matches(got, wanted[1:])
    hint = "; put a single row into another pair of brackets" if is_row else ""
    raise _wrong(spec, f"shape {list(got)}{hint}")


def _matches(got: Shape, wanted: FreeShape) -> bool:
    return len(got) == len(wanted) and all(
        want is None or want == size for size, want in zip(got, wanted, strict=True)
    )


def _same_rows(got: Shape, wanted: FreeShape) -> Shape | None:
    """The wanted shape, if the request's rows differ from it only in nesting.

    That means flat rows, and missing or superfluous axes of size 1.
    """
    sizes = [size for size in wanted[1:] if size is not None]
    if len(got) in (0, len(wanted)) or len(sizes) + 1 != len(wanted):
        return None
    is_flat = len(got) == 2 and got[1] == math.prod(sizes)
    is_alike = [size for size in got[1:] if size != 1] == [size for size in sizes if size != 1]
    full = (got[0], *sizes)
    return full if (is_flat or is_alike) and _matches(full, wanted) else None


def cast_to(spec: TensorSpec, array: Array) -> Array:
    """Cast numbers or text to the dtype of `spec`, without changing the shape.

    Raises `ClientError` for values that the dtype cannot hold, as `to_array` does.
    """
    if spec.is_text:
        return _text(spec, array)
    if array.dtype == spec.dtype:
        return array
    if array.dtype.kind not in "biuf":
        array = _numbers(spec, array)
    if spec.dtype is None:
        return array
    return _exact(spec, array) if spec.dtype.kind in "biu" else _float(spec, array)


def _text(spec: TensorSpec, array: Array) -> Array:
    """The texts in an array of objects, and bytes if the input accepts them."""
    objects: Array = decode_b64(array.astype(object))
    takes_bytes = spec.dtype == np.dtype(bytes)
    for place, value in np.ndenumerate(objects):
        if isinstance(value, bytes) and not takes_bytes:
            objects[place] = _decoded(spec, place, value)
        elif not _is_text(value):
            raise _wrong_at(spec, place, value)
    return objects


def _is_text(value: Any) -> bool:
    """Whether a framework accepts it as text; JSON may contain surrogates, which UTF-8 lacks."""
    if not isinstance(value, str) or value.isascii():
        return isinstance(value, str | bytes)
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(spec: TensorSpec, place: Shape, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _wrong_at(spec, place, content) from None


def _numbers(spec: TensorSpec, array: Array) -> Array:
    """The numbers in an array of objects; null becomes NaN."""
    _check_each(spec, array, lambda value: value is None or isinstance(value, Real))
    if spec.dtype is None or spec.dtype.kind not in "iu":
        return numeric_if_possible(array)
    limits = np.iinfo(spec.dtype)
    _check_each(
        spec,
        array,
        lambda value: (
            value is not None and limits.min <= value <= limits.max and value == int(value)
        ),
    )
    whole = [int(value) for value in array.flat]  # not through float, which would round
    return np.array(whole, spec.dtype).reshape(array.shape)


def _check_each(spec: TensorSpec, array: Array, is_right: Callable[[Any], bool]) -> None:
    for place, value in np.ndenumerate(array):
        if not is_right(value):
            raise _wrong_at(spec, place, value)


def _float(spec: TensorSpec, array: Array) -> Array:
    try:
        with np.errstate(over="raise"):
            return array.astype(spec.dtype)
    except FloatingPointError:
        with np.errstate(over="ignore"):
            wrong = np.isinf(array.astype(spec.dtype)) & np.isfinite(array)
        raise _wrong_where(spec, array, wrong) from None


def _exact(spec: TensorSpec, array: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        result = array.astype(spec.dtype)
        wrong = result != array
        if array.dtype.kind == "f" and result.dtype.kind in "iu":
            # Some processors convert larger floats to the largest integer, which may compare equal.
            wrong |= array >= float(np.iinfo(result.dtype).max) + 1
            # JSON parsers read -2**63 - 1 as a float, which rounds to the smallest integer.
            wrong |= (array == float(-(2**63))) & (result.dtype.itemsize == 8)
    if wrong.any():
        raise _wrong_where(spec, array, wrong)
    return result


def _wrong_where(spec: TensorSpec, array: Array, wrong: Array) -> ClientError:
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    return _wrong_at(spec, place, array[place])


def _wrong_at(spec: TensorSpec, place: Shape, value: Any) -> ClientError:
    value = value.item() if isinstance(value, np.generic) else value
    shown = "null or NaN" if value is None or value != value else reprlib.repr(value)
    return _wrong(spec, f"{shown} at {list(place)}")
