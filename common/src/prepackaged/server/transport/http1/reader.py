"""HTTP/1 as bytes in, requests out (RFC 9112); llhttp parses them, by way of httptools."""

from collections.abc import Callable
from typing import Any, Literal

import httptools

from prepackaged.server.transport.exchange import Exchange, TransportError
from prepackaged.server.transport.http1.body import Body
from prepackaged.server.transport.http1.framing import (
    Fields,
    Framing,
    check_chunks,
    too_large,
    without_upgrade,
)
from prepackaged.server.transport.http1.head_size import ALWAYS_FITS, PartialHead, memory_of
from prepackaged.server.transport.http1.header_cache import MAX_MISSES, Head, HeaderCache
from prepackaged.server.transport.http1.incoming import Incoming
from prepackaged.server.transport.memory import SMALL, UNLIMITED, MemoryBudget

PIECE = 16 * 1024  # bytes that are parsed at a time, unless they are one body's

#: Begins a request with this method, target and header fields.
Begin = Callable[[str, bytes, Fields], Incoming]


class StopReadingError(Exception):
    """Stops the parser: the request is refused, and the bytes after it are not read."""


class RequestReader:
    """Reads the requests of one connection.

    `begin` begins each of them. `max_body` is in bytes, None for any. `cache` is shared by the
    connections of a port, and `memory` by all requests. `check`, where there is one, raises
    `TransportError` for a request that is refused by its header fields alone.
    """

    def __init__(
        self,
        begin: Begin,
        max_body: int | None,
        cache: HeaderCache,
        memory: MemoryBudget = UNLIMITED,
    ) -> None:
        self._cache = cache
        self._misses = 0
        self._begin = begin
        self.check: Callable[[Exchange], None] | None = None
        self._max_body = max_body
        self._parser: Any = httptools.HttpRequestParser(self)
        self._whole: list[Incoming] = []
        self._latest: Incoming | None = None  # the request whose head is being read
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._length = 0  # the declared length of the body, or 0
        self._body = Body()
        self.rest: bytes | memoryview = b""  # received and not read yet
        self._partial_head = PartialHead(memory)
        self._head_memory = 0  # of a large one that is whole
        self._trailers: list[tuple[bytes, bytes]] = []  # of a body in chunks, of which so many
        self._chunk_bytes = 0  # were received
        self._may_be_large = False  # the head that is being read
        self._has_begun = False  # a head, with the bytes that were received last
        self.reads: Literal["nothing", "head", "body"] = "nothing"
        self.is_done = False  # a request was refused
        self.expects_continue = False  # the client waits for "100 Continue" before it sends on

    def receive(self, data: bytes) -> list[Incoming]:
        """The requests that these bytes complete, and at last one that is refused.

        There may be more of them in the `rest`.
        """
        if self.reads != "nothing" or self._misses > MAX_MISSES:
            return self._parsed(data)
        if known := self._cache.find(data):
            self._misses = 0
            return self._cached(*known)
        self._misses += 1
        whole = self._parsed(data)
        is_only = len(whole) == 1 and self.reads == "nothing" and not self.rest
        if is_only and not self.is_done:
            self._learn(data, whole[0])
        return whole

    def read_on(self) -> list[Incoming]:
        """As `receive`, for the bytes in `rest`."""
        return self._parsed(self.rest)

    @property
    def body_size(self) -> int:
        """The bytes of the body that is being read, so far."""
        return self._body.size

    def _cached(self, head: Head, body: bytes) -> list[Incoming]:
        incoming = self._begin(head.method, head.target, head.fields)
        incoming.exchange.body = body
        incoming.keep_alive = head.keep_alive
        try:
            if self.check:
                self.check(incoming.exchange)
            if len(body) > SMALL:
                incoming.exchange.hold(len(body))
        except TransportError as refusal:
            incoming.error, incoming.keep_alive, self.is_done = refusal, False, True
            self._misses = MAX_MISSES + 1
        return [incoming]

    def _learn(self, data: bytes, incoming: Incoming) -> None:
        head = Head(
            incoming.exchange.method,
            self._target,
            incoming.exchange.headers,
            incoming.keep_alive,
            len(incoming.exchange.body),
        )
        self._cache.add(data, head)

    def _parsed(self, data: bytes | memoryview) -> list[Incoming]:
        self.rest = b""
        if self.is_done:
            return []
        received = memoryview(data)
        if len(data) > PIECE:
            data = self._piece_of(received)
        self._may_be_large = self.reads == "head" or len(data) > ALWAYS_FITS
        self._has_begun = False
        size = len(data)
        if (offered := self._feed(data)) is not None:
            self._ignore_upgrade()
            self.rest, size = b"" if self.is_done else received[offered:], 0
        if self.reads == "head":
            self._limit_head(size)
        elif self.reads == "body":
            self._limit_chunks(size)
            self._hold_body()
        whole, self._whole = self._whole, []
        return whole

    def _feed(self, data: bytes | memoryview) -> int | None:
        """Parse; return the place after a head that offers another protocol, or None."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return int(upgrade.args[0])
        except httptools.HttpParserError as error:
            if not isinstance(error.__context__, StopReadingError):
                self._refuse(TransportError(400, "this is not valid HTTP"))
        return None

    def _piece_of(self, data: memoryview) -> memoryview:
        """The part of a large read that is parsed now; other connections run before the rest."""
        missing = self._length - self._body.size if self.reads == "body" else 0
        size = max(PIECE, missing)
        self.rest = data[size:]
        return data[:size]

    def time_out(self) -> list[Incoming]:
        """Refuse the request that is being read: its rest did not arrive in time."""
        self._refuse(TransportError(408, "the rest of the request did not arrive"))
        whole, self._whole = self._whole, []
        return whole

    def close(self) -> None:
        """Drop the received bytes, and the parser, which refers back here: a cycle."""
        self._parser, self.is_done, self._misses = None, True, MAX_MISSES + 1
        self._partial_head.clear()
        self._body, self.rest, self._fields = Body(), b"", []
        if self._latest:
            self._latest.exchange.abandon()
            self._latest = None

    # The parser calls what follows.

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self.reads, self._has_begun = "head", True
        self._latest = None
        self._target = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Begin an exchange, unless the request is refused by its head."""
        parser = self._parser
        self._head_memory = self._memory_of_head() if self._may_be_large else 0
        if parser.should_upgrade():
            return  # the parser will read it again without the offer
        version = parser.get_http_version()
        framing = Framing(self._target, self._fields, version)
        self._length, self.expects_continue = framing.length, framing.expects_continue
        latest = self._begin(parser.get_method().decode(), self._target, self._fields)
        latest.keep_alive = version == "1.1" and parser.should_keep_alive()
        self._latest = latest
        latest.coding = framing.coding
        self.reads = "body"
        if framing.is_chunked:
            self._trailers, self._chunk_bytes = [], 0
            self._fields = self._trailers  # which are not headers (RFC 9110, 6.5.1)
        try:
            if framing.error:
                raise framing.error
            if self._max_body is not None and framing.length > self._max_body:
                raise too_large(self._max_body)
            if self.check:
                self.check(latest.exchange)
            if self._head_memory:
                latest.exchange.hold(self._head_memory)
        except TransportError as refusal:
            self._refuse(refusal)
            raise StopReadingError from refusal

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._latest is None:
            return  # the parser will read it again
        self._body.add(body)
        if self._max_body is not None and self._body.size > self._max_body:
            self._refuse(too_large(self._max_body))
            raise StopReadingError

    def on_message_complete(self) -> None:
        """Hand the whole request over."""
        latest = self._latest
        if latest is None:
            return  # the parser will read it again
        self._hold_body(copies=2)  # its parts, and the whole
        if self.is_done:
            raise StopReadingError
        latest.exchange.body = self._body.take()
        self.reads, self._latest = "nothing", None
        self.expects_continue = False
        self._whole.append(latest)

    def _limit_chunks(self, size: int) -> None:
        """Refuse a body in chunks that are hardly data."""
        if self._fields is self._trailers:
            self._chunk_bytes += size
            sizes = (self._chunk_bytes, self._body.size, len(self._trailers))
            self._refuse_unless(check_chunks, *sizes)

    def _hold_body(self, copies: int = 1) -> None:
        """Count the memory of the body that is being read; refuse it if there is too little."""
        if self._latest is not None and self._body.size > SMALL:
            exchange, size = self._latest.exchange, self._head_memory + self._body.size * copies
            self._refuse_unless(exchange.hold, size - exchange.held)

    def _memory_of_head(self) -> int:
        """The memory of a head, 0 if it is small. Stops the parser if it is too large."""
        self._partial_head.clear()
        try:
            memory = memory_of(self._target, self._fields)
        except TransportError as refusal:
            self._refuse(refusal)
            raise StopReadingError from refusal
        return memory if memory > SMALL else 0

    def _limit_head(self, size: int) -> None:
        """Refuse an incomplete head that has become too large."""
        more = 0 if self._has_begun else size
        self._refuse_unless(self._partial_head.grow, more, len(self._fields))

    def _refuse_unless(self, check: Callable[..., object], *values: Any) -> None:
        try:
            check(*values)
        except TransportError as refusal:
            self._refuse(refusal)

    def _refuse(self, error: TransportError) -> None:
        incoming = self._latest if self.reads == "body" else None
        if incoming is None:
            incoming = self._begin("-", b"-", ())
        incoming.error, incoming.keep_alive = error, False
        self._body, self.rest, self._fields = Body(), b"", []
        self._latest, self.reads, self.is_done = None, "nothing", True
        self._partial_head.clear()
        self.expects_continue = False
        self._misses = MAX_MISSES + 1
        self._whole.append(incoming)

    def _ignore_upgrade(self) -> None:
        """Read the head again without its offer of another protocol, which would take the body."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(TransportError(400, "expected a request for a resource, got CONNECT"))
            return
        version = self._parser.get_http_version().encode()
        line = b"%b %b HTTP/%b\r\n" % (method, self._target, version)
        head = b"".join((line, without_upgrade(self._fields), b"\r\n"))
        self._parser = httptools.HttpRequestParser(self)
        self.reads = "nothing"
        self._feed(head)
