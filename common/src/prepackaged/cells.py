"""Convert one cell of a table, a JSON value, to the type of its column in training; find a cell."""

import math
import re
import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np

from prepackaged.moments import moment

# A number in JSON notation; its length is bounded, so that parsing it is fast.
NUMBER = re.compile(r"[+-]?(\d{1,400}\.?\d{0,400}|\.\d{1,400})([eE][+-]?\d{1,4})?", re.ASCII)
LARGEST_EXACT = 2.0**63  # the upper bound, exclusive, of floats that fit a 64-bit integer


def shown(value: Any) -> str:
    """A cell's value as text of bounded length, for errors."""
    return "null" if is_null(value) else reprlib.repr(value)


def is_null(value: Any) -> bool:
    """Whether a cell is missing: null, or NaN, which some JSON writers use."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_in(text: str) -> int | float:
    """Parse a text as a number, exact if it is whole. Raises `TypeError` for other texts."""
    if not NUMBER.fullmatch(text):
        raise TypeError
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def number(value: Any) -> float:
    """Convert a number, or a text that is one, because clients send values from CSV files as text.

    Raises `TypeError` for other values, `OverflowError` for integers too large for a float.
    """
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if not isinstance(value, int | float):
        raise TypeError
    return float(value)


def whole(value: Any) -> int:
    """Convert a whole number of 64 bits, or a text that is one.

    Raises `TypeError` for other values, `OverflowError` if 64 bits are too few.
    """
    if isinstance(value, str):
        value = number_in(value)
    if not isinstance(value, int | float) or value != (rounded := int(value)):
        raise TypeError
    if not -LARGEST_EXACT <= rounded < LARGEST_EXACT:
        raise OverflowError
    return rounded


def flag(value: Any) -> bool:
    """Convert true, false, 1 or 0 to a boolean. Raises `TypeError` for other values."""
    if not isinstance(value, int | float) or value not in (0, 1):
        raise TypeError
    return bool(value)


def string(value: Any) -> str:
    """Return a text unchanged. Raises `TypeError` for other values."""
    if not isinstance(value, str):
        raise TypeError
    return value


def moment_in(value: Any) -> Any:
    """Parse a date and time from text, as `moment` does. Raises `TypeError` for other values."""
    if not isinstance(value, str):
        raise TypeError
    return moment(value)


def find_cell(table: Any, is_wrong: Callable[[Any], bool]) -> tuple[int, int, Any] | None:
    """Row, column and value of the first wrong cell in an array or DataFrame; None without one.

    >>> find_cell([[1, 2], [3, "x"]], lambda value: isinstance(value, str))
    (1, 1, 'x')
    """
    for row, values in enumerate(np.asarray(table, dtype=object)):
        for column, value in enumerate(np.atleast_1d(values)):
            if is_wrong(value):
                return row, column, value
    return None
