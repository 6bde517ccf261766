"""Parse JSON to Python values and numpy arrays, for all protocols.

Large arrays of numbers are parsed directly into numpy's memory: creating a Python object for each
number would take several times as long as everything else.
"""

import json
import resource
import threading
from itertools import chain
from typing import Any

import numpy as np
import orjson
import simdjson

from prepackaged.arrays import Array, may_round
from prepackaged.errors import ClientError
from prepackaged.server.transport.background import LARGE as LARGE_BODY
from prepackaged.server.transport.errors import TransportError

MOST_CONTAINERS = 2**22  # lists and objects in a body: to make so many takes about a second
LARGE = 8192  # bytes from which on arrays pay
MOST_MEMBERS = 64  # the most members of an object; messages have only a few
LARGEST_KEPT = 2**23  # bytes: a parser takes up to ten times as much
KEPT = threading.local()
# simdjson's letters, in the order in which numpy would choose.
DTYPES: dict[Any, Any] = {"i": np.int64, "u": np.uint64, "d": np.float64}
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
    """The error for a part of a message with the wrong type."""
    return ClientError(f"expected {what}, got {JSON_TYPES.get(type(value), type(value).__name__)}")


def read_json(text: bytes | str) -> Any:
    """A JSON value; NaN and infinity are accepted, as in Python's json module.

    Raises `ClientError` for anything else.
    """
    if len(text) > LARGE_BODY and is_address_space_limited():
        return _read_slowly(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _read_slowly(text)


def is_address_space_limited() -> bool:
    """Whether to ask for memory may fail (`ulimit -v`), which ends the process within orjson."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft != resource.RLIM_INFINITY


def _read_slowly(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClientError(f"Can't find JSON in data: {error}") from error


def memory_of(body: bytes) -> int:
    """An estimate of the memory for a message's values and a response of the same size, in bytes.

    It uses CPython's sizes of lists, objects, numbers and texts; a body of `[],[],...` becomes
    thirty times as large. Raises `TransportError` with status 413 for more than MOST_CONTAINERS
    lists and objects: Python makes them in one step, and all other requests wait meanwhile.
    """
    containers = body.count(b"[") + body.count(b"{")
    if containers > MOST_CONTAINERS:
        why = f"expected at most {MOST_CONTAINERS} lists and objects in a body, got {containers}"
        raise TransportError(413, why)
    objects = 72 * containers + 32 * body.count(b",") + 16 * body.count(b'"')
    return 2 * len(body) + objects


def parser_for(body: bytes) -> simdjson.Parser:
    """The thread's own parser, which keeps its memory; a new one for the largest bodies."""
    if len(body) > LARGEST_KEPT:
        return simdjson.Parser()
    if not hasattr(KEPT, "parser"):
        KEPT.parser = simdjson.Parser()
    parser: simdjson.Parser = KEPT.parser
    return parser


def members(value: Any) -> dict[str, Any]:
    """The unparsed members of an object; empty for anything else."""
    if not isinstance(value, simdjson.Object):
        return {}
    if len(value) > MOST_MEMBERS:
        raise ValueError("each look at a member would search from the first")
    names = list(value)
    if len(set(names)) < len(names):
        raise ValueError("a name twice, of which the last counts")
    return {name: value[name] for name in names}


def plain(value: Any) -> Any:
    """A simdjson value as a Python value."""
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def array_of(lists: Any) -> Array:
    """Nested simdjson lists of numbers as an array. Raises `ValueError` for anything else."""
    if not isinstance(lists, simdjson.Array):
        raise ValueError("no list")
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
    """The shape of nested lists. Raises `ValueError` if they are ragged."""
    level, shape = [lists], []
    while True:
        size, *others = set(map(len, level))
        if others or not size:
            raise ValueError("lists of unequal length, or empty ones")
        shape.append(size)
        if not isinstance(level[0][0], simdjson.Array):
            return shape
        level = list(chain.from_iterable(level))
