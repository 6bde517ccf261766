"""Arrays out of what clients send and models return, for every kind of message alike."""

import math
from typing import Any

import numpy as np

from prepackaged.arrays import DEEPEST, Array, sum_of_sizes
from prepackaged.errors import ClientError, ModelError
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange

LARGEST_EMPTY = 2**16  # places that a shape without values may declare besides its zeros
JSON_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null or nothing",
}


def expected(what: str, value: Any) -> ClientError:
    """The error for a part of a message that is of another type than it must be."""
    return ClientError(f"expected {what}, got {JSON_TYPES.get(type(value), type(value).__name__)}")


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


def from_result(result: Any) -> Array:
    """What a model returned as an array: an array, list, numpy scalar, DataFrame or Series.

    Raises `ModelError` for anything else.
    """
    if isinstance(result, np.ndarray):
        return result
    if isinstance(result, list):
        return _from_list(result)
    if isinstance(result, np.generic):
        return np.array(result)
    if hasattr(result, "to_numpy"):
        return np.asarray(result.to_numpy())
    raise ModelError(
        f"predict returned {type(result).__name__}; expected an array, list, str, bytes or dict"
    )


def is_large(prediction: Prediction, exchange: Exchange) -> bool:
    """Whether to encode it takes so long that the event loop cannot bear it.

    Where the value does not tell its size, that of the request stands for it.
    """
    value = prediction.value
    size = value.nbytes if isinstance(value, np.ndarray) else len(exchange.body)
    return size > LARGE


def _from_list(result: list[Any]) -> Array:
    try:
        if sum_of_sizes(result) is None:
            objects = np.array(result, dtype=object)
            if str in set(map(type, objects.flat)):
                return objects  # rather than every text padded to the longest
        return np.array(result)
    except ValueError as error:
        raise ModelError(f"predict returned a list that is no array: {error}") from error


def _shown(shape: list[Any]) -> str:
    text = str(shape)
    return text if len(text) <= 80 else f"{text[:77]}..."
