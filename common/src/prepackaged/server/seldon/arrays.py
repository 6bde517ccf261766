"""Arrays out of what clients send and models return, for every kind of message alike."""

import math
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from prepackaged.errors import ClientError, ModelError

Array = npt.NDArray[Any]

LARGEST_EMPTY = 2**16  # places that a shape without values may declare besides its zeros
LARGEST_TEXT = 2**24  # characters in a '<U' array, which pads every text to the longest
DEEPEST = 64  # dimensions of an array, numpy's own limit
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
    return ClientError(f"expected {what}; came {JSON_TYPES.get(type(value), type(value).__name__)}")


def from_lists(rows: list[Any]) -> Array:
    """Nested JSON lists as an array of the dtype that numpy finds for numbers, booleans or texts.

    As soon as kinds are mixed, or one value is null or an object, an object array of the
    values as they came. Raises `ClientError` that names the row where lists are of unequal
    length.
    """
    if _are_numbers(rows):
        try:
            return np.array(rows)
        except ValueError:
            pass  # of unequal lengths, or too deep: found below
    shape, values = [len(rows)], rows
    while list in set(map(type, values)):
        _check_lengths(values, shape)
        shape.append(len(values[0]))
        values = list(chain.from_iterable(values))
    return _flat(values).reshape(shape)


def shaped(values: Array, shape: Any) -> Array:
    """The values in a shape that the client declares. Raises `ClientError` if they do not fit."""
    if not isinstance(shape, list):
        raise expected("shape as a list of sizes", shape)
    if any(type(size) is not int or size < 0 for size in shape):
        raise ClientError(f"expected shape as whole numbers from 0; came {_shown(shape)}")
    if math.prod(shape) != values.size:
        raise ClientError(
            f"expected as many values as shape {_shown(shape)} has places; came {values.size}"
        )
    if len(shape) > DEEPEST or math.prod(filter(None, shape)) > max(values.size, LARGEST_EMPTY):
        raise ClientError(f"expected a shape of reasonable size; came {_shown(shape)}")
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


def _from_list(result: list[Any]) -> Array:
    try:
        if not _are_numbers(result):
            objects = np.array(result, dtype=object)
            if str in set(map(type, objects.flat)):
                return objects  # rather than every text padded to the longest
        return np.array(result)
    except ValueError as error:
        raise ModelError(f"predict returned a list that is no array: {error}") from error


def _are_numbers(rows: list[Any]) -> bool:
    """Whether nested lists hold nothing but numbers: adding them up is the quickest way to ask."""
    first, values = rows[0] if rows else None, iter(rows)
    for _ in range(DEEPEST):
        if type(first) is not list:
            break
        first, values = first[0] if first else None, chain.from_iterable(values)
    try:
        sum(values)
    except Exception:  # what a model returns may raise anything when it is added
        return False
    return True


def _check_lengths(level: list[Any], shape: list[int]) -> None:
    lengths = [len(value) if type(value) is list else None for value in level]
    for number, length in enumerate(lengths):
        if length != lengths[0]:
            row = number // math.prod(shape[1:])
            where = f"row {row}" if len(shape) == 1 else f"a list in row {row}"
            raise ClientError(
                f"expected rows of equal length; {'row 0' if len(shape) == 1 else 'the first list'}"
                f" has {_count(lengths[0])}, {where} has {_count(length)}"
            )
    if len(shape) == DEEPEST:
        raise ClientError(f"expected at most {DEEPEST} dimensions; came lists in lists beyond that")


def _count(length: int | None) -> str:
    if length is None:
        return "a single value"
    return "1 value" if length == 1 else f"{length} values"


def _flat(values: list[Any]) -> Array:
    kinds = set(map(type, values))
    is_text = kinds == {str} and max(map(len, values)) * len(values) <= LARGEST_TEXT
    if is_text or kinds <= {int, float, bool}:
        return np.array(values)
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def _shown(shape: list[Any]) -> str:
    text = str(shape)
    return text if len(text) <= 80 else f"{text[:77]}..."
