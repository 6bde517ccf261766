"""Parse JSON to Python values and numpy arrays, for all protocols.

Large arrays of numbers are parsed directly into numpy's memory, because creating a Python object
for each number would take several times as long as everything else.
"""

import json
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import orjson
import simdjson

from prepackaged.arrays import Array, may_round
from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_parts import LONG, PART, read_rows
from prepackaged.server.transport.background import LARGE as LARGE_BODY
from prepackaged.server.transport.errors import TransportError

MOST_CONTAINERS = 2**22  # the most lists and objects in a body; creating them takes about 1 s
LARGE = 8192  # the size of a body in bytes from which parsing to arrays is faster
MOST_MEMBERS = 64  # the most members of an object; messages have only a few
LONGEST_SLOW = 2**23  # the most bytes that json parses, at 15 MB/s
LARGEST_KEPT = 2**23  # the largest body in bytes for a kept parser, which takes up to ten times it
KEPT = threading.local()
# simdjson's type codes, in the order in which numpy chooses dtypes.
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
    """The error for a part of a message that has the wrong type."""
    return ClientError(f"expected {what}, got {JSON_TYPES.get(type(value), type(value).__name__)}")


def read_json(text: bytes | str) -> Any:
    """Parse JSON; NaN and infinity are accepted, as in Python's json module.

    Raises `ClientError` for invalid JSON, and for NaN or infinity in more than LONGEST_SLOW bytes
    if the body cannot be parsed in parts: json would block other threads for seconds.
    """
    if len(text) > LARGE_BODY and is_address_space_limited():
        return _read_slowly(text)
    if isinstance(text, bytes) and len(text) >= LONG:
        with suppress(ValueError, RecursionError):
            return read_rows(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if len(text) > LONGEST_SLOW:
            why = f"{error}; in more than {LONGEST_SLOW} bytes, only rows may contain NaN"
            raise ClientError(f"Can't find JSON in data: {why}") from error
        return _read_slowly(text)


def read_arrays(
    body: bytes, in_parts: Callable[[bytes], Any], whole: Callable[[bytes], Any]
) -> Any:
    """Parse a body with the reader for its length; with `read_json` if that reader fails.

    The readers return arrays for lists of numbers, and fail with any error for what they do not
    support. Raises the errors of `read_json`.
    """
    read = in_parts if len(body) >= LONG else whole
    with suppress(ValueError, TypeError, LookupError, RuntimeError):
        return read(body)
    return read_json(body)


def is_address_space_limited() -> bool:
    """Whether `ulimit -v` is set: a failing allocation in orjson would abort the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft != resource.RLIM_INFINITY


def _read_slowly(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = str(error).partition("; use sys.")[0]  # advice for Python programs about long numbers
        raise ClientError(f"Can't find JSON in data: {why}") from error


def memory_of(body: bytes) -> int:
    """An estimate of the memory for a message's values and a response of the same size, in bytes.

    It uses CPython's sizes of lists, objects, numbers and texts; a body of `[],[],...` becomes
    thirty times as large. Raises `TransportError` with status 413 for more than MOST_CONTAINERS
    lists and objects, because creating them blocks all other requests.
    """
    containers = _count(body, b"[") + _count(body, b"{")
    if containers > MOST_CONTAINERS:
        why = f"expected at most {MOST_CONTAINERS} lists and objects in a body, got {containers}"
        raise TransportError(413, why)
    objects = 72 * containers + 32 * _count(body, b",") + 16 * _count(body, b'"')
    return 2 * len(body) + objects


def _count(body: bytes, octet: bytes) -> int:
    """Count a byte in parts of the body, so that other threads can run."""
    return sum(body.count(octet, at, at + PART) for at in range(0, len(body), PART))


def parser_for(body: bytes) -> simdjson.Parser:
    """The parser of this thread, which reuses its memory, or a new one for the largest bodies."""
    if len(body) > LARGEST_KEPT:
        return simdjson.Parser()
    if not hasattr(KEPT, "parser"):
        KEPT.parser = simdjson.Parser()
    parser: simdjson.Parser = KEPT.parser
    return parser


def members(value: Any) -> dict[str, Any]:
    """The unparsed members of an object; empty for other values.

    Raises `ValueError` for more than MOST_MEMBERS members and for duplicate names.
    """
    if not isinstance(value, simdjson.Object):
        return {}
    if len(value) > MOST_MEMBERS:
        raise ValueError("each look at a member would search from the first")
    names = list(value)
    if len(set(names)) < len(names):
        raise ValueError("a name twice, of which the last counts")
    return {name: value[name] for name in names}


def plain(value: Any) -> Any:
    """Convert a simdjson value to a Python value."""
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def array_of(lists: Any) -> Array:
    """Convert nested simdjson lists of numbers to an array.

    Raises `ValueError` for other values and for numbers that may have been rounded.
    """
    if not isinstance(lists, simdjson.Array):
        raise ValueError("no list")
    shape = _shape(lists)
    for kind, dtype in DTYPES.items():
        try:
            array = np.frombuffer(lists.as_buffer(of_type=kind), dtype).reshape(shape)
        except (TypeError, ValueError):
            continue  # some numbers do not fit this dtype
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
