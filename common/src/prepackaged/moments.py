"""Read dates and times, as ISO 8601 writes them."""

import re
from typing import Any

import numpy as np

# What is left to NumPy begins so; it would also read the clock for `now`, and years of any length.
BEGINNING = re.compile(r"\d{4}(-|\Z)", re.ASCII)
WITHOUT_DASHES = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)


def moment(text: str) -> Any:
    """A date, or a date and time, in nanoseconds and without a zone: that of UTC.

    Raises `ValueError` for other texts, `OverflowError` for years that nanoseconds do not reach.

    >>> str(moment("2020-01-03T12:30:00Z"))
    '2020-01-03T12:30:00.000000000'
    """
    text = text.strip().removesuffix("Z")
    if digits := WITHOUT_DASHES.fullmatch(text):
        text = "-".join(digits.groups())
    if not BEGINNING.match(text):
        raise ValueError(text)
    found = np.datetime64(text, "ns")
    if found.astype("datetime64[s]") != np.datetime64(text, "s"):
        raise OverflowError(text)
    return found
