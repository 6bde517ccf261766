"""Parse large JSON bodies in parts, so that other threads can run in between.

simdjson, orjson and json hold Python's interpreter lock while they parse, for seconds in a body of
256 MB. But almost all of such a body is a list of numbers, which can be cut at any comma, or a list
of rows or records, which can be cut between two of them.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import orjson
import simdjson

from prepackaged.arrays import DEEPEST, Array, may_round

LONG = 2**22  # the bytes of a body from which parts are no slower than the whole
PART = 2**20  # the bytes that are parsed together, in about 5 ms
SPACE_BYTES = 1000  # the most bytes of white space between a row and the end of the list
CUTS = 4  # the most places to try; text between rows may look like their end
MOST_QUOTES = 1000  # a message of numbers has few names and texts
SPACE = b" \n\t\r"
IN_NUMBERS = b"0123456789+-.eENaInfity"  # json accepts NaN and Infinity
ZEROS = bytes.maketrans(IN_NUMBERS, b"0" * len(IN_NUMBERS))
ZERO, OPEN, CLOSE = b"0[]"
SPACES = bytes.maketrans(b"[]", b"  ")
ROWS = re.compile(rb"\[\s*[\[{]")  # the start of a list of lists or objects
KINDS: tuple[tuple[Literal["i", "d"], Any], ...] = (("i", np.int64), ("d", np.float64))

#: The keys and indices that lead to a value in a message.
Path = tuple[str | int, ...]
Span = tuple[int, int]


def read_numbers(body: bytes, may_be_array: Callable[[Path], bool]) -> Any:
    """Parse JSON; its long lists of numbers become arrays.

    Raises `ValueError` if there are none, if one is at a path where no array may be, and for JSON
    that is invalid or needs a complete parser: the caller then parses the body in another way.
    """
    lists = {span: _array(body, *span) for span in _long_lists(body)}
    if not lists:
        raise ValueError("no long list of numbers")
    return _filled(body, lists, may_be_array)


def read_rows(body: bytes) -> Any:
    """Parse JSON with a long list of rows or records. Raises `ValueError` for other JSON.

    A part that is cut within a row or a text is invalid JSON, so if all parts are valid, all cuts
    were between rows.
    """
    found = ROWS.search(body)
    end = _end_of_rows(body)
    if found is None or end - found.start() < PART:
        raise ValueError("no long list of rows")
    if body.startswith(b"\\", max(found.start() - 1, 0)):
        raise ValueError("a list in a text")
    rows, at = [], found.start() + 1
    while at < end:
        part, at = _next_rows(body, at, end - 1)
        rows += part
    return _filled(body, {(found.start(), end): rows}, lambda _: True)


def _end_of_rows(body: bytes) -> int:
    """The place after the last `]` that follows a row or a record; 0 if there is none."""
    end = len(body)
    for _ in range(CUTS):
        end = max(body.rfind(b"]", 0, end), 0)
        if body[max(end - SPACE_BYTES, 0) : end].rstrip().endswith((b"]", b"}")):
            return end + 1
    return 0


def _next_rows(body: bytes, start: int, end: int) -> tuple[list[Any], int]:
    """The rows in the next part, and where those after it start."""
    last = start + PART
    for _ in range(CUTS):
        cut = end if last >= end else _last_comma(body, start, last, b"],", b"},")
        try:
            return _values(body[start:cut]), cut + 1
        except ValueError:
            last = cut - 1
    raise ValueError("no place to cut was found between rows")


def _long_lists(body: bytes) -> Iterator[Span]:
    """The places of long lists: everything between two texts, from `[` to the `]` before a `}`."""
    if b"\\" in body:
        raise ValueError("an escaped quote may not end a text")
    at, is_text = 0, False
    for _ in range(MOST_QUOTES):
        quote = body.find(b'"', at)
        end = len(body) if quote < 0 else quote
        if end - at >= PART and not is_text and (start := body.find(b"[", at, end)) >= 0:
            brace = body.find(b"}", start, end)
            yield start, body.rfind(b"]", start, end if brace < 0 else brace) + 1
        if quote < 0:
            return
        at, is_text = quote + 1, not is_text
    raise ValueError("many texts")


def _array(body: bytes, start: int, end: int) -> Array:
    """The numbers of the nested lists from `start` to `end`."""
    numbers, brackets = [], []
    for part in _cut(body, start, end):
        brackets.append(_brackets(part))
        numbers.append(_numbers(part.translate(SPACES)))
    array = np.concatenate(numbers)
    if may_round(array) and may_round(array[np.isfinite(array)]):
        raise ValueError("numbers that may have been rounded")
    return array.reshape(_shape(b",".join(brackets)))


def _cut(body: bytes, start: int, end: int) -> Iterator[bytes]:
    """Cut at commas, which are left out."""
    while end - start > PART:
        comma = _last_comma(body, start, start + PART, b",")
        yield body[start:comma]
        start = comma + 1
    yield body[start:end]


def _last_comma(body: bytes, start: int, end: int, *marks: bytes) -> int:
    """The place of the last comma at the end of a mark. Raises `ValueError` if there is none."""
    comma = max(body.rfind(mark, start, end) + len(mark) - 1 for mark in marks)
    if comma <= start:
        raise ValueError("no place to cut")
    return comma


def _brackets(part: bytes) -> bytes:
    """Everything but the numbers: brackets and commas, if the lists contain nothing else."""
    places = part.translate(ZEROS, SPACE)
    octets = np.frombuffer(places, np.uint8)  # searching bytes for pairs is slower
    before, after = octets[:-1], octets[1:]
    if np.any(((before == ZERO) & (after == OPEN)) | ((before == CLOSE) & (after == ZERO))):
        raise ValueError("a number before or after a list")
    return places.translate(None, b"0")


def _numbers(flat: bytes) -> Array:
    """The numbers in a part of a list, without the brackets in it."""
    try:
        values: Any = simdjson.Parser().parse(b"[%s]" % flat)
    except ValueError:
        return _with_nan(flat)
    for kind, dtype in KINDS:
        try:
            return np.frombuffer(values.as_buffer(of_type=kind), dtype)
        except (TypeError, ValueError):
            continue  # some number does not fit this dtype
    raise ValueError("not numbers alone")


def _with_nan(flat: bytes) -> Array:
    values = _values(flat)
    if not set(map(type, values)) <= {int, float} or not values:
        raise ValueError("not numbers alone")
    return np.array(values, np.float64)


def _values(part: bytes) -> list[Any]:
    """The values of a part, which may be NaN or infinite, as in Python's json module."""
    text = b"[%s]" % part
    is_json = not (b"NaN" in part or b"Infinity" in part)
    values: list[Any] = orjson.loads(text) if is_json else json.loads(text)
    return values


def _shape(brackets: bytes) -> list[int]:
    """The shape of nested lists from their brackets and commas.

    Raises `ValueError` for lists of unequal lengths, and for anything that is not a list.
    """
    depth = len(brackets) - len(brackets.lstrip(b"["))
    if not 0 < depth <= DEEPEST:
        raise ValueError("no list, or lists too deep for an array")
    end = brackets.index(b"]")
    inner = brackets[depth - 1 : end + 1]
    shape = [len(inner) - 1]
    for level in range(2, depth + 1):
        end = brackets.index(b"]" * level, end)
        count = (end - 1 - depth + 2 * level) // (len(inner) + 1)
        inner = b"[%s]" % ((inner + b",") * count)[:-1]
        shape.insert(0, count)
    if inner != brackets:
        raise ValueError("lists of unequal lengths, or other values")
    return shape


def _filled(body: bytes, lists: dict[Span, Any], may_be: Callable[[Path], bool]) -> Any:
    """Parse the rest of the body, and put the lists that are already parsed into their places."""
    names, pieces, at = {}, [], 0
    for (start, end), values in lists.items():
        name = uuid4().hex  # nothing else in the body equals it
        names[name] = values
        pieces += [body[at:start], b'"%s"' % name.encode()]
        at = end
    filled = _placed(orjson.loads(b"".join([*pieces, body[at:]])), names, may_be)
    if names:
        raise ValueError("a list as the name of a member, or a member with two values")
    return filled


def _placed(
    value: Any, lists: dict[str, Any], may_be: Callable[[Path], bool], path: Path = ()
) -> Any:
    """The value with the lists, which are removed from `lists`, in the places of their names."""
    if len(path) > DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return {key: _placed(each, lists, may_be, (*path, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_placed(each, lists, may_be, (*path, at)) for at, each in enumerate(value)]
    if isinstance(value, str) and value in lists:
        if not may_be(path):
            raise ValueError("a list of numbers where no array belongs")
        return lists.pop(value)
    return value
