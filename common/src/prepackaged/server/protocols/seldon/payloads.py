"""Arrays in the shapes that clients declare, for every kind of message alike."""

import math
from typing import Any

from prepackaged.arrays import DEEPEST, Array
from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import expected

LARGEST_EMPTY = 2**16  # places that a shape without values may declare besides its zeros


def shaped(values: Array, shape: Any) -> Array:
    """The values in a shape that the client declares. Raises `ClientError` if they do not fit."""
    if not isinstance(shape, list):
        raise expected("shape as a list of sizes", shape)
    if len(shape) > DEEPEST:  # before anything is done with the sizes
        raise ClientError(f"expected a shape of at most {DEEPEST} sizes, got {len(shape)}")
    if any(type(size) is not int or size < 0 for size in shape):
        raise ClientError(f"expected shape as whole numbers from 0, got {_shown(shape)}")
    if math.prod(shape) != values.size:
        raise ClientError(
            f"expected as many values as shape {_shown(shape)} has places, got {values.size}"
        )
    if math.prod(filter(None, shape)) > max(values.size, LARGEST_EMPTY):
        raise ClientError(f"expected a shape of reasonable size, got {_shown(shape)}")
    return values.reshape(shape)


def _shown(shape: list[Any]) -> str:
    text = str(shape)
    return text if len(text) <= 80 else f"{text[:77]}..."
