"""Parse dates and times in ISO 8601."""

import re
from typing import Any

import numpy as np

# Only texts with this beginning go to NumPy, which would also accept `now` and longer years.
BEGINNING = re.compile(r"\d{4}(-|\Z)", re.ASCII)
WITHOUT_DASHES = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)


def moment(text: str) -> Any:
    """Parse a date, or a date and time, to nanoseconds; the time zone is UTC.

    Raises `ValueError` for other texts, `OverflowError` for years outside the range of nanoseconds.

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
