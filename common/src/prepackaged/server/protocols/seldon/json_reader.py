"""From JSON to the message that `json_codec.decode` takes.

Large arrays of numbers go straight into numpy's memory: to make a Python object of each number
takes several times as long as all the rest.
"""

import json
import threading
from itertools import chain
from typing import Any

import numpy as np
import orjson
import simdjson

from prepackaged.arrays import Array, may_round
from prepackaged.errors import ClientError

LARGE = 8192  # bytes from which on this pays
MOST_MEMBERS = 64  # of an object; messages have no more than a few
LARGEST_KEPT = 2**23  # bytes: a parser takes up to ten times as much
KEPT = threading.local()
# simdjson's letters, in the order in which numpy would choose.
DTYPES: dict[Any, Any] = {"i": np.int64, "u": np.uint64, "d": np.float64}


def read_json(text: bytes | str) -> Any:
    """A JSON value. NaN and infinity are read too, as Python's own reader does.

    Raises `ClientError` for what is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ClientError(f"Can't find JSON in data: {error}") from error


def memory_of(body: bytes) -> int:
    """The bytes that a message's values may take, and a response of its size.

    What CPython takes for lists and objects, numbers and texts; a body of `[],[],...` becomes
    thirty times as large.
    """
    containers = body.count(b"[") + body.count(b"{")
    objects = 72 * containers + 32 * body.count(b",") + 16 * body.count(b'"')
    return 2 * len(body) + objects


def read_body(body: bytes) -> Any:
    """The JSON value that is a request's body; null is none. Raises `ClientError`."""
    message = read_json(body)
    if message is None:
        raise ClientError("Can't find JSON in data: it is null")
    return message


def read_prediction(body: bytes) -> Any:
    """What `read_body` gives, but that the numbers in `data` may be an array already."""
    if len(body) >= LARGE and b'"data"' in body:
        try:
            return _with_array(body)
        except (ValueError, TypeError, LookupError, RuntimeError):
            pass  # whatever it is: what follows reads it, or says what is wrong with it
    return read_body(body)


def _with_array(body: bytes) -> dict[str, Any]:
    """A message whose `data` holds nothing but numbers; errors of any kind for all others."""
    message = _members(_parser_for(body).parse(body))
    data = _members(message.pop("data"))
    is_tensor = "tensor" in data
    tensor = _members(data.pop("tensor")) if is_tensor else {}
    holder, key = (tensor, "values") if is_tensor else (data, "ndarray")
    array = _array(holder.pop(key))
    parts = (message, data, tensor)
    lists = sum(isinstance(value, simdjson.Array) for part in parts for value in part.values())
    # A list among the numbers would have been taken for what is in it.
    if body.count(b"[") != lists + 1 + sum(np.cumprod(array.shape[:-1], dtype=int)):
        raise ValueError("lists where none belong")
    message, data, tensor = (
        {name: _plain(value) for name, value in part.items()} for part in parts
    )
    arrays = {"tensor": {**tensor, "values": array}} if is_tensor else {"ndarray": array}
    return {**message, "data": {**data, **arrays}}


def _parser_for(body: bytes) -> simdjson.Parser:
    """The thread's own parser, with its memory; a new one for the largest bodies."""
    if len(body) > LARGEST_KEPT:
        return simdjson.Parser()
    if not hasattr(KEPT, "parser"):
        KEPT.parser = simdjson.Parser()
    parser: simdjson.Parser = KEPT.parser
    return parser


def _members(value: Any) -> dict[str, Any]:
    """The members of an object, not made into Python's objects yet; none of anything else."""
    if not isinstance(value, simdjson.Object):
        return {}
    if len(value) > MOST_MEMBERS:
        raise ValueError("each look at a member would search from the first")
    names = list(value)
    if len(set(names)) < len(names):
        raise ValueError("a name twice, of which the last counts")
    return {name: value[name] for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def _array(lists: Any) -> Array:
    shape = _shape(lists)
    for kind, dtype in DTYPES.items():
        try:
            array = np.frombuffer(lists.as_buffer(of_type=kind), dtype).reshape(shape)
        except (TypeError, ValueError):
            continue  # a number that is no such integer
        if may_round(array):
            break
        return array
    raise ValueError("not numbers alone, or rounded ones")


def _shape(lists: Any) -> list[int]:
    """The sizes of lists in lists. Raises `ValueError` where they are not equal."""
    level, shape = [lists], []
    while True:
        size, *others = set(map(len, level))
        if others or not size:
            raise ValueError("lists of unequal length, or empty ones")
        shape.append(size)
        if not isinstance(level[0][0], simdjson.Array):
            return shape
        level = list(chain.from_iterable(level))
