"""Parse the parameters for images."""

import re
from collections.abc import Sequence

import numpy as np

from prepackaged.parameters import wrong_parameter

MOST_PIXELS = 2**24  # the most pixels of an image that is converted to floats


def one_of(name: str, value: str | None, values: Sequence[str]) -> str | None:
    """The value in the spelling of `values`; None if it is not set.

    Like all functions here, raises a `DeploymentError` with the parameter's name for other values.
    """
    if not value:
        return None
    for each in values:
        if str(value).strip().lower() == each.lower():
            return each
    raise wrong_parameter(name, f"one of {', '.join(values)}", value)


def read_size(value: str | None) -> tuple[int, int] | None:
    """Parse height and width from a text such as `224x224`."""
    if not value:
        return None
    match = re.fullmatch(r"\s*([1-9]\d{0,4})\s*x\s*([1-9]\d{0,4})\s*", str(value), re.IGNORECASE)
    if not match or int(match[1]) * int(match[2]) > MOST_PIXELS:
        wanted = f'height and width such as "224x224", with at most {MOST_PIXELS:,} pixels'
        raise wrong_parameter("image_size", wanted, value)
    return int(match[1]), int(match[2])


def read_numbers(
    name: str, value: str | float | None, counts: Sequence[int] = (1, 3)
) -> tuple[float, ...] | None:
    """Parse numbers separated by commas; each may be a fraction such as 1/255."""
    if value in (None, ""):
        return None
    try:
        numbers = tuple(map(_number, str(value).split(",")))
    except (ValueError, ZeroDivisionError):
        numbers = ()
    if len(numbers) not in counts or not np.isfinite(numbers).all():
        more = "" if counts == (1,) else ", or one for each of 3 channels such as 0.5,0.5,0.5"
        raise wrong_parameter(name, f"a number such as 0.5 or 1/255{more}", value)
    return numbers


def _number(text: str) -> float:
    above, slash, below = text.partition("/")
    return float(above) / float(below) if slash else float(above)
