"""Decompress bodies and messages in steps, to stop bombs early (RFC 9110, 8.4.1)."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

STEP = 2**20  # bytes that are inflated at a time, at most
LEAST_FED, MOST_FED = 2**9, 2**16  # bytes that are read at a time: few first, then more
MOST_MEMBERS = 2**14
GZIP = 16 + zlib.MAX_WBITS
#: The codings that are inflated, by name, as zlib's `wbits`.
CODINGS = {b"gzip": GZIP, b"x-gzip": GZIP, b"deflate": zlib.MAX_WBITS}


class TooLargeError(Exception):
    """The decompressed data exceed the limit; callers convert this to their protocol's error."""


def inflated(
    data: bytes, coding: bytes, limit: int, hold: Callable[[int], object] = lambda _: None
) -> bytes:
    """The decompressed data; a gzip file may have several members (RFC 1952, 2.2).

    `hold` is called with the memory of each step, and may raise. Raises `TooLargeError` beyond the
    limit, in bytes, and `zlib.error` for malformed or incomplete data.
    """
    parts: list[bytes] = []
    size = place = members = 0
    while place < len(data) and (not members or CODINGS[coding] == GZIP):
        members += 1
        if members > MOST_MEMBERS:
            raise zlib.error(f"it has more than {MOST_MEMBERS} members")
        inflater = zlib.decompressobj(CODINGS[coding])
        for part, end in _parts(inflater, data, place):
            size, place = size + len(part), end
            if size > limit:
                raise TooLargeError
            hold(2 * len(part))  # the part, and the whole
            parts.append(part)
    if place < len(data):
        raise zlib.error("bytes follow its end")
    return b"".join(parts)


def _parts(inflater: Any, data: bytes, place: int) -> Iterator[tuple[bytes, int]]:
    """The content of the member at this place, in parts; each with the place after its source.

    zlib copies the input that it has not used. So it gets little input at a time, and a small
    member costs little.
    """
    source, size = b"", LEAST_FED
    while not inflater.eof:
        if not source:
            source, size = data[place : place + size], min(2 * size, MOST_FED)
            place += len(source)
        part = inflater.decompress(source, STEP)
        source = inflater.unconsumed_tail
        if not part and not source and place == len(data) and not inflater.eof:
            raise zlib.error("it is incomplete")
        yield part, place - len(inflater.unused_data)
