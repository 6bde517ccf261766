"""Check and apply the shapes that clients declare, for all protocols."""

import math
from collections.abc import Sequence
from typing import Any

from prepackaged.arrays import DEEPEST, Array
from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import expected

LARGEST_EMPTY = 2**16  # the largest product of the other sizes of a shape that contains 0


def shaped(values: Array, shape: Any) -> Array:
    """Reshape the values to the client's shape. Raises `ClientError` if they do not fit."""
    if math.prod(checked_shape(shape)) != values.size:
        raise ClientError(
            f"expected as many values as shape {shown_shape(shape)} holds, got {values.size}"
        )
    return values.reshape(shape)


def checked_shape(shape: Any) -> list[int]:
    """Return the shape if it is valid. Raises `ClientError` otherwise."""
    if not isinstance(shape, list):
        raise expected("shape as a list of sizes", shape)
    if len(shape) > DEEPEST:  # before the sizes are used
        raise ClientError(f"expected a shape of at most {DEEPEST} sizes, got {len(shape)}")
    for size in shape:
        if type(size) is not int or size < 0:
            raise ClientError(f"expected shape as whole numbers from 0, got {shown_shape(shape)}")
    if 0 in shape and math.prod(filter(None, shape)) > LARGEST_EMPTY:
        raise ClientError(f"expected a shape of reasonable size, got {shown_shape(shape)}")
    return shape


def shown_shape(shape: Sequence[Any]) -> str:
    """A shape as text of limited length, for error messages."""
    text = str(list(shape[:20]))
    return text if len(text) <= 80 else f"{text[:77]}..."
