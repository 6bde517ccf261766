"""Convert one cell of a table, a JSON value, to the type that its column had in training."""

import math
import re
import reprlib
from typing import Any

from prepackaged.moments import moment

# A number as JSON writes it, of so many characters that none takes long to read.
NUMBER = re.compile(r"[+-]?(\d{1,400}\.?\d{0,400}|\.\d{1,400})([eE][+-]?\d{1,4})?", re.ASCII)
LARGEST_EXACT = 2.0**63  # what a float must be below to be a 64-bit integer


def shown(value: Any) -> str:
    """A cell's value in an error, bounded in length."""
    return "null" if is_null(value) else reprlib.repr(value)


def is_null(value: Any) -> bool:
    """Whether a cell is missing: null, or NaN, which some JSON writers use."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_in(text: str) -> int | float:
    """The number that a text is, exact if it is whole. Raises `TypeError` for other texts."""
    if not NUMBER.fullmatch(text):
        raise TypeError
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def number(value: Any) -> float:
    """A number, or text that is a number: clients send what they read from CSV files.

    Raises `TypeError` for other values, `OverflowError` for integers beyond floating point.
    """
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if not isinstance(value, int | float):
        raise TypeError
    return float(value)


def whole(value: Any) -> int:
    """A whole number of 64 bits, or text that is one.

    Raises `TypeError` for other values, `OverflowError` beyond 64 bits.
    """
    if isinstance(value, str):
        value = number_in(value)
    if not isinstance(value, int | float) or value != (rounded := int(value)):
        raise TypeError
    if not -LARGEST_EXACT <= rounded < LARGEST_EXACT:
        raise OverflowError
    return rounded


def flag(value: Any) -> bool:
    """True or false, also as 1 or 0. Raises `TypeError` for other values."""
    if not isinstance(value, int | float) or value not in (0, 1):
        raise TypeError
    return bool(value)


def string(value: Any) -> str:
    """A text. Raises `TypeError` for other values."""
    if not isinstance(value, str):
        raise TypeError
    return value


def moment_in(value: Any) -> Any:
    """A date and time, from text as `moment` reads it. Raises `TypeError` for other values."""
    if not isinstance(value, str):
        raise TypeError
    return moment(value)
