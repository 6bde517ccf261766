"""The server side of an HTTP/2 connection: bytes in, events and bytes out (RFC 9113).

No sockets, no timers, no event loop, and no knowledge of the streams' content.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from prepackaged.server.transport.http2 import frames
from prepackaged.server.transport.http2.budget import FOR_A_STREAM, Budget
from prepackaged.server.transport.http2.credit import HALF, INITIAL
from prepackaged.server.transport.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    PingAcknowledged,
    StreamReset,
)
from prepackaged.server.transport.http2.fields import MalformedError, check_trailers
from prepackaged.server.transport.http2.frames import (
    ErrorCode,
    FrameReader,
    Http2Error,
    check_setting,
    expect_connection,
    expect_size,
    frame,
    number_in,
    unpadded,
)
from prepackaged.server.transport.http2.headers import HeaderBlock, HeaderReader, Headers
from prepackaged.server.transport.http2.outbound import MOST_STREAMS, Outbound
from prepackaged.server.transport.http2.streams import Stream

MOST_CONTINUATIONS = 8  # the most frames that continue a header block: CVE-2024-27316
MOST_UNSENT = 2**26  # bytes that a client does not take, before it may open no more streams
HEADER_BLOCK = (frames.HEADERS, frames.CONTINUATION)
SMALL = 64  # bytes of data; less has to be paid for, unless it is the last of its stream


class Http2Core(Outbound):
    """A connection. Streams are identified by number; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(Budget(clock))
        self.has_failed = False
        self._reader = FrameReader()
        self._headers = HeaderReader()
        self._expects: int | None = frames.SETTINGS  # the only type of frame that is allowed now
        #: A header block that is not whole.
        self.open_block: HeaderBlock | None = None

    # Handlers of the client's frames

    def receive(self, data: bytes) -> Iterator[Event | None]:
        """Process bytes and yield their events; None for a frame of headers that is no event.

        A caller that stops before the last event continues with `receive(b"")`; see `has_more`.
        """
        if self.has_failed:
            return
        self._reader.feed(data)
        handlers = self.FRAME_HANDLERS
        try:
            for kind, flags, stream, payload in self._reader.frames():
                if self._expects is not None and kind != self._expects:
                    raise self._unexpected(kind)
                handler = handlers.get(kind, Http2Core._receive_unknown)
                event = handler(self, flags, stream, payload)
                if event is not None or kind in HEADER_BLOCK:
                    yield event
        except Http2Error as error:
            yield self._failure(error)

    @property
    def is_http2(self) -> bool:
        """Whether the client's preface has arrived."""
        return self._reader.has_preface

    @property
    def has_more(self) -> bool:
        """Whether there are bytes that `receive` has not processed."""
        return self._reader.has_more and not self.has_failed

    def _unexpected(self, kind: int) -> Http2Error:
        """The error for a frame of the wrong type at this point (3.4, 6.10)."""
        why = f"expected a frame of type {self._expects}, got {kind}"
        return Http2Error(ErrorCode.PROTOCOL_ERROR, why)

    def _failure(self, error: Http2Error) -> ConnectionFailed:
        """Send GOAWAY with the error (5.4.1), unless the client does not speak HTTP/2."""
        self.has_failed = True
        if self._reader.has_preface:
            self.refuse_streams(error.code, str(error))
        return ConnectionFailed(error.code, str(error))

    # Streams

    def _receive_data(self, flags: int, number: int, payload: bytes) -> Event | None:
        """6.1."""
        size = len(payload)
        self._credit.left -= size
        if self._credit.left < HALF:
            self._credit.settle()
        ended = bool(flags & frames.END_STREAM)
        stream = self._streams.get(number)
        if stream is None:
            self._early_ends.expect(number)
            self._budget.spend()
            return None
        if flags & frames.PADDED:
            payload = unpadded(payload)
        if len(payload) < SMALL and not ended:
            self._budget.spend()
        if stream.is_ended:  # 5.1, "half-closed (remote)"
            return self._stream_error(stream, ErrorCode.STREAM_CLOSED)
        stream.credit -= size
        if stream.credit < 0:  # 6.9.1
            why = f"more data on stream {number} than its window allows"
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, why)
        stream.is_ended = ended
        if stream.length_left is not None and not stream.fits(len(payload)):  # 8.1.1
            return self._stream_error(stream, ErrorCode.PROTOCOL_ERROR)
        return DataReceived(number, payload, ended)

    def _receive_headers(self, flags: int, number: int, payload: bytes) -> Event | None:
        """6.2."""
        if number % 2 == 0:  # 5.1.1
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"a client cannot open stream {number}")
        if flags & frames.PADDED:
            payload = unpadded(payload)
        if flags & frames.HAS_PRIORITY:
            expect_size(frames.HEADERS, payload, len(payload) >= frames.PRIORITY_SIZE)
            payload = payload[frames.PRIORITY_SIZE :]
        if flags & frames.END_HEADERS:
            return self._receive_block(number, payload, ended=bool(flags & frames.END_STREAM))
        self.open_block = HeaderBlock(number, flags, payload)
        self._expects = frames.CONTINUATION
        return None

    def _receive_continuation(self, flags: int, number: int, payload: bytes) -> Event | None:
        """6.10."""
        block = self.open_block
        if block is None or block.stream != number:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a CONTINUATION without a header block")
        block.continuations += 1
        if block.continuations > MOST_CONTINUATIONS:
            why = f"expected a header block of at most {MOST_CONTINUATIONS} continuations"
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, why)
        block.payload += payload
        if not flags & frames.END_HEADERS:
            return None
        self.open_block = self._expects = None
        ended = bool(block.flags & frames.END_STREAM)
        return self._receive_block(number, bytes(block.payload), ended=ended)

    def _receive_block(self, number: int, block: bytes, *, ended: bool) -> Event | None:
        """Receive a header block; it is always decoded, because later ones depend on it (4.3)."""
        headers = self._headers.read(block)
        if stream := self._streams.get(number):
            return self._receive_trailers(stream, headers, ended=ended)
        if number <= self._early_ends.seen:
            self._early_ends.expect(number)
            self._budget.spend()
            return None
        self._early_ends.seen = number
        if self._is_refusing or len(self._streams) >= MOST_STREAMS or self.unsent > MOST_UNSENT:
            self._budget.spend()
            self._abandon(number, ErrorCode.REFUSED_STREAM)  # 5.1.2, 6.8
            return None
        return self._open(number, headers, ended=ended)

    def _open(self, number: int, headers: Headers, *, ended: bool) -> Event | None:
        self._last = number
        self._opened += 1
        self._budget.earn(FOR_A_STREAM)
        length = headers.content_length
        if headers.error or (ended and length):  # 8.1.1
            self._abandon(number, ErrorCode.PROTOCOL_ERROR)
            self._count_reset()
            return None
        window = self._sender.initial_window
        self._streams[number] = Stream(number, window, INITIAL, length, ended)
        return HeadersReceived(number, headers, ended)

    def _receive_trailers(
        self, stream: Stream, headers: Headers, *, ended: bool
    ) -> StreamReset | DataReceived:
        """8.1: a second header block must be trailers, which end the stream."""
        if stream.is_ended:  # 5.1, "half-closed (remote)"
            return self._stream_error(stream, ErrorCode.STREAM_CLOSED)
        stream.is_ended = True
        try:
            check_trailers(headers.fields)
        except MalformedError:
            ended = False
        if not ended or stream.length_left:
            return self._stream_error(stream, ErrorCode.PROTOCOL_ERROR)
        return DataReceived(stream.number, b"", ended=True)

    def _receive_reset(self, flags: int, number: int, payload: bytes) -> Event | None:  # noqa: ARG002  a handler's
        """6.4."""
        code = number_in(frames.RST_STREAM, payload)
        self._early_ends.expect_not_idle(number)
        self._budget.spend()
        stream = self._streams.get(number)
        if stream is None:
            return None
        self._close(stream)
        self._count_reset()
        return StreamReset(number, code)

    # The connection

    def _receive_settings(self, flags: int, number: int, payload: bytes) -> None:
        """6.5."""
        expect_connection(frames.SETTINGS, number)
        is_ack = bool(flags & frames.ACK)
        if is_ack:
            expect_size(frames.SETTINGS, payload, not payload)
            if self._expects is not None:
                raise self._unexpected(frames.SETTINGS)
        self._expects = None
        self.has_preface = True
        self._budget.spend(1 + (len(payload) >> 5) + (len(self._streams) >> 3))
        if not is_ack:
            self._apply(frames.settings_in(payload))

    def _apply(self, settings: list[tuple[int, int]]) -> None:
        for name, value in settings:
            check_setting(name, value)
        self._output.append(frame(frames.SETTINGS, frames.ACK, 0))  # before their effect: 6.5.3
        windows = [value for name, value in settings if name == frames.INITIAL_WINDOW]
        for size in windows[-1:]:
            for stream in self._sender.resize(size, list(self._streams.values())):
                self._finish(stream)

    def _receive_window_update(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002  a handler's
        """6.9."""
        more = number_in(frames.WINDOW_UPDATE, payload) & frames.STREAM_BITS
        self._budget.spend()
        if more == 0:  # 5.4.1: on a stream, too
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a window update of 0")
        if number == 0:
            for stream in self._sender.widen(more):
                self._finish(stream)
            return
        self._early_ends.expect_not_idle(number)
        known = self._streams.get(number)
        if known is not None and self._sender.widen_stream(known, more):
            self._finish(known)

    def _receive_ping(self, flags: int, number: int, payload: bytes) -> Event | None:
        """6.7."""
        expect_connection(frames.PING, number)
        expect_size(frames.PING, payload, len(payload) == frames.PING_SIZE)
        self._budget.spend()
        if flags & frames.ACK:
            return PingAcknowledged(payload)
        self._output.append(frame(frames.PING, frames.ACK, 0, payload))
        return None

    def _receive_goaway(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002  a handler's
        """6.8: after its GOAWAY, a client still reads the responses to its streams."""
        expect_connection(frames.GOAWAY, number)
        expect_size(frames.GOAWAY, payload, len(payload) >= frames.GOAWAY_SIZE)
        self._budget.spend()

    def _receive_priority(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002  a handler's
        """6.3: only the form is checked; priorities are deprecated (5.3.2)."""
        expect_size(frames.PRIORITY, payload, len(payload) == frames.PRIORITY_SIZE)
        if number == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a PRIORITY of the connection")
        self._budget.spend()

    def _receive_push_promise(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002  a handler's
        """8.4: a client cannot push."""
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "expected no PUSH_PROMISE of a client")

    def _receive_unknown(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002  a handler's
        """5.5: frames of extensions are ignored."""
        self._budget.spend()

    FRAME_HANDLERS: ClassVar[Mapping[int, Callable[..., Event | None]]] = {
        frames.DATA: _receive_data,
        frames.HEADERS: _receive_headers,
        frames.PRIORITY: _receive_priority,
        frames.RST_STREAM: _receive_reset,
        frames.SETTINGS: _receive_settings,
        frames.PUSH_PROMISE: _receive_push_promise,
        frames.PING: _receive_ping,
        frames.GOAWAY: _receive_goaway,
        frames.WINDOW_UPDATE: _receive_window_update,
        frames.CONTINUATION: _receive_continuation,
    }
