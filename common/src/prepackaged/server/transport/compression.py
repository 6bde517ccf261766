"""Compressed bodies and messages: inflated in steps, so that no bomb goes off (RFC 9110, 8.4.1)."""

import zlib
from collections.abc import Callable

STEP = 2**20  # bytes that are inflated at a time
GZIP = 16 + zlib.MAX_WBITS
#: The codings that are inflated, by name, as zlib's `wbits`.
CODINGS = {b"gzip": GZIP, b"x-gzip": GZIP, b"deflate": zlib.MAX_WBITS}


class TooLargeError(Exception):
    """The inflated data exceed the limit; callers turn this into their protocol's error."""


def inflated(
    data: bytes, coding: bytes, limit: int, hold: Callable[[int], object] = lambda _: None
) -> bytes:
    """What was compressed; a gzip file may have several members (RFC 1952, 2.2).

    `hold` is called with the memory that each step takes, and may raise. Raises `TooLargeError`
    beyond the limit, in bytes, and `zlib.error` for what is not compressed so, or not whole.
    """
    parts, size = [], 0
    while data:
        inflater = zlib.decompressobj(CODINGS[coding])
        while not inflater.eof:
            part = inflater.decompress(data, min(STEP, limit + 1 - size))
            data = inflater.unconsumed_tail
            size += len(part)
            if size > limit:
                raise TooLargeError
            if not part and not data and not inflater.eof:
                raise zlib.error("it is not whole")
            hold(2 * len(part))  # the part, and the whole
            parts.append(part)
        data = inflater.unused_data if CODINGS[coding] == GZIP else b""
    return b"".join(parts)
