"""Decompress bodies and messages in steps, to stop bombs early (RFC 9110, 8.4.1)."""

import zlib
from collections.abc import Callable

STEP = 2**20  # bytes that are inflated at a time
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
