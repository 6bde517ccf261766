"""The header blocks of requests: decoded, checked, and cached.

A client sends the same block of bytes for request after request. As long as a block leaves the
table of the compression (RFC 7541) as it was, the same bytes mean the same headers, and are
decoded only once.
"""

from typing import Any

from prepackaged.server.transport.http2.fields import MalformedError, check_request
from prepackaged.server.transport.http2.hpack import Fields, HeaderBlockDecoder

MAX_HEADERS = 65_536  # bytes of a request's fields; if it has more, the stream ends
MOST_CACHED = 64  # blocks of a connection
LARGEST_CACHED = 1024  # bytes of a block
MOST_MISSES = 128  # one after the other, until a connection's blocks are not cached any more


class HeaderBlock:
    """An incomplete header block."""

    __slots__ = ("continuations", "flags", "payload", "stream")

    def __init__(self, stream: int, flags: int, payload: bytes) -> None:
        self.stream = stream
        self.flags = flags
        self.payload = bytearray(payload)
        self.continuations = 0


class Headers:
    """The header fields of a request, their names in lower case.

    `size` is counted as for the setting MAX_HEADER_LIST_SIZE, and `error` is the error if they are
    not a valid request. The user of the connection may keep its own parsed form in `meaning`: as
    long as a block is cached, it is the same object.
    """

    __slots__ = ("content_length", "error", "fields", "meaning", "size")

    def __init__(self, fields: Fields, size: int) -> None:
        self.fields = fields
        self.size = size
        self.error = ""
        self.content_length: int | None = None
        self.meaning: Any = None
        try:
            self.content_length = check_request(fields)
        except MalformedError as error:
            self.error = str(error)


class HeaderReader:
    """Decode the header blocks of a connection, in their order."""

    __slots__ = ("_cached", "_decoder", "_misses")

    def __init__(self) -> None:
        self._decoder = HeaderBlockDecoder()
        self._cached: dict[bytes, Headers] = {}
        self._misses = 0

    def read(self, block: bytes) -> Headers:
        """The headers in a block. Raises `Http2Error` if it cannot be decoded."""
        if self._misses > MOST_MISSES:
            return Headers(*self._decoder.decode(block))
        if headers := self._cached.get(block):
            self._misses = 0
            return headers
        self._misses += 1
        before = self._decoder.changes
        headers = Headers(*self._decoder.decode(block))
        self._learn(block, headers, is_same=self._decoder.changes == before)
        return headers

    def _learn(self, block: bytes, headers: Headers, *, is_same: bool) -> None:
        """Cache a block that did not change the table: it will mean the same again."""
        if not is_same or self._misses > MOST_MISSES or len(self._cached) >= MOST_CACHED:
            self._cached.clear()
        elif len(block) <= LARGEST_CACHED:
            self._cached[block] = headers
