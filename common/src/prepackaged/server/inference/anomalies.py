"""Count values that training did not have: missing, of unknown categories, or out of range.

`missing` counts null, NaN and the value that the model uses for missing values. Only values that
the model accepts are counted: a value that its column refuses is a client's error.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.cells import is_null
from prepackaged.signature import Column

KINDS = ("missing", "unknown_category", "below_range", "above_range")
NUMBERS = "biuf"  # numpy's kinds of dtype that are numbers
# The share of a range by which values may lie outside: float32 and scalers round.
ROUNDING = 1e-6

#: The values of each column: arrays of shape [rows], or one array of shape [columns, rows].
Values = Sequence[Array] | Array


class Anomalies:
    """Counts by column and kind, for columns that a model uses."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.kinds = [*map(kinds_of, columns)]
        self._known = {
            place: column.categories_set
            for place, column in enumerate(columns)
            if KINDS[1] in self.kinds[place]
        }
        self._low, self._high = np.array([*map(_ends, columns)]).reshape(-1, 2, 1).swapaxes(0, 1)
        self._marker = np.array([*map(_marker, columns)]).reshape(-1, 1)
        self._has_markers = not np.isnan(self._marker).all()

    def __call__(self, values: Values) -> Iterator[tuple[int, str, int]]:
        """The place of a column, a kind, and how many of its values are of this kind, if any."""
        if isinstance(values, np.ndarray):
            yield from self._of_numbers(slice(None), values)
            numeric: Sequence[int] = range(len(values))
        else:
            numeric = [place for place, array in enumerate(values) if array.dtype.kind in NUMBERS]
            if numeric:
                numbers = np.array([values[place] for place in numeric], np.float64)
                for place, kind, count in self._of_numbers(numeric, numbers):
                    yield numeric[place], kind, count
        for place in sorted({*range(len(values))}.difference(numeric) | self._known.keys()):
            yield from self._of_objects(place, values[place])

    def _of_numbers(self, places: Any, numbers: Array) -> Iterator[tuple[int, str, int]]:
        """The missing values and those outside of the ranges, in an array [columns, rows]."""
        low, high, marker = self._low[places], self._high[places], self._marker[places]
        usual = (numbers >= low) & (numbers <= high)
        if self._has_markers:
            usual &= numbers != marker
        if usual.all():
            return
        missing = np.isnan(numbers) | (numbers == marker)
        found = (missing, (numbers < low) & ~missing, (numbers > high) & ~missing)
        for kind, cells in zip((KINDS[0], *KINDS[2:]), found, strict=True):
            for place, count in enumerate(cells.sum(axis=1).tolist()):
                if count:
                    yield place, kind, count

    def _of_objects(self, place: int, array: Array) -> Iterator[tuple[int, str, int]]:
        """The missing values and unknown categories of one column; of numbers, only the latter."""
        values, known = array.tolist(), self._known.get(place)
        if array.dtype.kind == "M":
            missing = int(np.isnat(array).sum())
        elif set(map(type, values)) == {str}:
            missing = 0
        else:
            missing = sum(map(is_missing, values))
        if missing and array.dtype.kind not in NUMBERS:
            yield place, KINDS[0], missing
        if known is None or not set(values) - known:
            return
        unknown = sum(value not in known and not is_missing(value) for value in values)
        if unknown:
            yield place, KINDS[1], unknown


def kinds_of(column: Column) -> tuple[str, ...]:
    """The kinds that can be counted: the model accepts such values and can recognise them."""
    has_range = column.value_range is not None
    # Codes of a `category` mean only known categories: others are refused before they get any.
    may_be_new = bool(column.categories) and column.open and column.kind != "category"
    is_counted = (column.nullable, may_be_new, has_range, has_range)
    return tuple(kind for kind, counts in zip(KINDS, is_counted, strict=True) if counts)


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing value: null, NaN, pandas' NA and NaT."""
    return is_null(value) or type(value).__name__ in ("NAType", "NaTType")


def _ends(column: Column) -> tuple[float, float]:
    known = column.value_range
    if known is None:
        return -np.inf, np.inf
    return known.low - ROUNDING * abs(known.low), known.high + ROUNDING * abs(known.high)


def _marker(column: Column) -> float:
    """The number that means a missing value; NaN unless the model has another."""
    is_number = type(column.missing) in (int, float)
    return float(column.missing) if is_number else np.nan
