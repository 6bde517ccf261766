"""Arrays from nested lists."""

from collections.abc import Sequence
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from prepackaged.errors import ClientError

Array = npt.NDArray[Any]
Place = tuple[int, ...]

EXACT = 2.0**53  # the float below which every whole number is exact
LARGEST_TEXT = 2**24  # the most characters in a '<U' array, which pads all texts to the longest
BLOCK = 2**20  # the values that are examined or copied together, so that other threads can run
DEEPEST = 64  # the most dimensions of an array, numpy's own limit


class UnequalLengthsError(ClientError):
    """Nested lists have unequal lengths, so that they are no array.

    `lengths` are the first list's length and the other one's, None for a single value, by place.
    """

    def __init__(self, lengths: dict[Place, int | None]) -> None:
        self.lengths = lengths
        first, other = (list_with_length(*each) for each in lengths.items())
        super().__init__(f"expected rows of equal length; {first}, {other}")


def from_lists(rows: list[Any]) -> Array:
    """Nested JSON lists as an array of the dtype that numpy finds for numbers, booleans or texts.

    The result is an object array of the unchanged values if kinds are mixed, if a value is null or
    an object, or if a whole number beside fractions is too large to be exact as a float. Raises
    `UnequalLengthsError`, with the rows, if lists have unequal lengths.
    """
    total = sum_of_sizes(rows)
    if total is not None:
        try:
            array = np.array(rows)
        except ValueError:
            pass  # unequal lengths or too deep: reported below
        else:
            if total < EXACT or array.dtype.kind != "f":
                return array
    shape, values = [len(rows)], rows
    while list in _types(values):
        _check_lengths(values, shape)
        shape.append(len(values[0]))
        values = list(chain.from_iterable(values))
    return _flat(values).reshape(shape)


def may_round(array: Array) -> bool:
    """Whether floats are so large that whole numbers among them may have been rounded."""
    return array.dtype == np.float64 and not np.vdot(array, array) < EXACT**2


def sum_of_sizes(rows: list[Any]) -> Any:
    """The sum of the absolute values in nested lists; None if a value is not a number.

    A sum is the fastest check that all values are numbers.
    """
    first, values = rows[0] if rows else None, iter(rows)
    for _ in range(DEEPEST):
        if type(first) is not list:
            break
        first, values = first[0] if first else None, chain.from_iterable(values)
    try:
        return sum(map(abs, values))
    except Exception:  # a model's result may contain objects that raise anything when added
        return None


def list_by_row(rows: Sequence[Any]) -> Array:
    """A one-dimensional array of objects with these values, which may be lists of any length."""
    objects = np.empty(len(rows), object)
    for number, row in enumerate(rows):  # numpy.array would convert nested lists, too
        objects[number] = row
    return objects


def _check_lengths(level: list[Any], shape: list[int]) -> None:
    lengths = [len(value) if type(value) is list else None for value in level]
    for number, length in enumerate(lengths):
        if length != lengths[0]:
            place = tuple(map(int, np.unravel_index(number, shape)))
            raise UnequalLengthsError({(0,) * len(shape): lengths[0], place: length})
    if len(shape) == DEEPEST:
        raise ClientError(f"expected at most {DEEPEST} dimensions, got lists in lists beyond that")


def list_with_length(place: Place, length: int | None) -> str:
    """A list as text: its row, its indices if it is a list in a row, and its length."""
    row = f"row {place[0]}" if len(place) == 1 else f"the list at {list(place)}"
    return f"{row} has {count_words(length)}"


def count_words(length: int | None) -> str:
    """The length of a list as text; None stands for a value that is not a list."""
    if length is None:
        return "a single value"
    return "1 value" if length == 1 else f"{length} values"


def _flat(values: list[Any]) -> Array:
    kinds = _types(values)
    if kinds == {int} and min(values) >= 0 and max(values) < 2**64:
        return np.array(values, np.uint64)  # numpy would choose floats if only some are that large
    if kinds <= {int, float, bool} and any(map(_is_rounded, values)):
        kinds = {object}
    if _fit_into_text(values, kinds) or kinds <= {int, float, bool}:
        return np.array(values)
    objects = np.empty(len(values), dtype=object)
    for at in range(0, len(values), BLOCK):
        objects[at : at + BLOCK] = values[at : at + BLOCK]
    return objects


def _types(values: list[Any]) -> set[type]:
    return {
        kind
        for at in range(0, len(values), BLOCK)
        for kind in set(map(type, values[at : at + BLOCK]))
    }


def _fit_into_text(values: list[Any], kinds: set[type]) -> bool:
    """Whether an array of texts holds these values; it would lose NULs at the end of a text."""
    return (
        kinds == {str}
        and max(map(len, values)) * len(values) <= LARGEST_TEXT
        and not any(text.endswith("\0") for text in values)
    )


def _is_rounded(value: Any) -> bool:
    if type(value) is not int:
        return False
    try:
        return value != float(value)
    except OverflowError:  # beyond all floats
        return True


def numeric_if_possible(table: Array) -> Array:
    """The table with numbers unchanged and null as NaN; objects if it contains text."""
    if table.dtype.kind in "biufc":
        return table
    values = table.astype(object)
    values[values == np.array(None)] = np.nan
    if all(isinstance(value, Real) for value in values.flat):
        return packed_numbers(values.tolist())
    return values


def packed_numbers(numbers: list[Any]) -> Array:
    """Nested lists of Python numbers in the dtype that numpy finds; float64 if it finds none.

    Raises `ClientError` for an integer that is too large for a float.
    """
    packed = np.array(numbers)
    if packed.dtype.kind in "biuf":
        return packed
    try:
        return np.array(numbers, dtype=np.float64)
    except OverflowError as error:
        raise ClientError("expected numbers within 64-bit floating point; one is larger") from error
