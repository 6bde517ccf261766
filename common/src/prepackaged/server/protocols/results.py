"""Convert the results of models to arrays, for all protocols."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from prepackaged.arrays import Array, from_lists, sum_of_sizes
from prepackaged.errors import ResultError
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, Response

WHOLE = 2.0**63  # numpy converts lists of smaller and larger integers than this to floats


def from_result(result: Any) -> Array:
    """Convert a model's result to an array: an array, list, numpy scalar, DataFrame or Series.

    Raises `ResultError` for anything else.
    """
    if isinstance(result, np.ndarray):
        return result
    if isinstance(result, list):
        return _from_list(result)
    if isinstance(result, np.generic):
        return np.array(result)
    if hasattr(result, "to_numpy"):
        return np.asarray(result.to_numpy())
    raise ResultError(f"{type(result).__name__}; expected an array, list, str, bytes or dict")


def is_large(value: Any, exchange: Exchange) -> bool:
    """Whether a prediction is too large to encode on the event loop.

    If the value is not an array, the size of the request is used instead.
    """
    size = value.nbytes if isinstance(value, np.ndarray) else len(exchange.body)
    return size > LARGE


def finish(
    encode: Callable[[Prediction], Response],
    exchange: Exchange,
    outcome: Prediction | BaseException,
) -> None:
    """Respond to an exchange with the encoded prediction, or with the error.

    A large prediction is encoded on another thread.
    """
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        if is_large(outcome.value, exchange):
            exchange.prepare(partial(encode, outcome), exchange.respond)
            return
        response = encode(outcome)
    except BaseException as error:
        exchange.fail(error)
    else:
        exchange.respond(response)


def _from_list(result: list[Any]) -> Array:
    try:
        total = sum_of_sizes(result)
        if total is None:
            objects = np.array(result, dtype=object)
            kinds = set(map(type, objects.flat))
            if list in kinds:
                raise ValueError("its lists have different lengths")
            if str in kinds:
                return objects  # numpy would pad every text to the longest one
        array = np.array(result)
        may_be_rounded = isinstance(total, int | float) and total >= WHOLE
        return _exact(array, result) if may_be_rounded else array
    except (ValueError, RuntimeError) as error:  # unequal lengths, or a list that contains itself
        raise ResultError(f"a list that is not an array: {error}") from error


def _exact(array: Array, result: list[Any]) -> Array:
    """The array, or an array of exact integers if numpy has rounded those of a list to floats."""
    if array.dtype != np.float64:
        return array
    exact = from_lists(result)
    return exact if exact.dtype == np.uint64 else array
