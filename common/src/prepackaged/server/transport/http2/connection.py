"""A connection of HTTP/2 that carries calls of gRPC, and nothing else (RFC 9113).

Headers are `hpack`'s business; frames, streams and windows are handled here, since neither
grpcio's server nor `h2` is as quick as a model: see docs/transports.md.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from prepackaged.server.transport.grpc.calls import Call, Method
from prepackaged.server.transport.grpc.status import Status
from prepackaged.server.transport.http2 import frames
from prepackaged.server.transport.http2.frames import (
    ErrorCode,
    Frame,
    FrameReader,
    Http2Error,
    frame,
    number,
    number_in,
    unpadded,
)
from prepackaged.server.transport.http2.headers import MAX_HEADERS, Head, HeadReader, block_of

WINDOW = 2**24  # bytes that a client may send ahead on all streams together
MOST_STREAMS = 1024  # calls at a time
MOST_RESETS = 1000  # calls given up, more than half of all, before a client is sent away
PRIORITY_SIZE = 5  # bytes
GOODBYE = b"goodbye!"  # a ping's eight bytes
NOT_HTTP2 = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"this port speaks gRPC; REST is on another\n"
)
GREETING = b"".join(
    (
        frame(
            frames.SETTINGS,
            0,
            0,
            frames.setting(frames.MAX_STREAMS, MOST_STREAMS)
            + frames.setting(frames.INITIAL_WINDOW, frames.MAX_WINDOW)
            + frames.setting(frames.MAX_HEADERS, MAX_HEADERS),
        ),
        frame(frames.WINDOW_UPDATE, 0, 0, number(WINDOW - frames.DEFAULT_WINDOW)),
    )
)


@dataclass(frozen=True)
class Limits:
    """What clients may ask for: bytes of a message, None for any, and connections."""

    max_message: int | None = None
    max_connections: float = math.inf


UNLIMITED = Limits()


def refuse_unknown(call: Call, message: bytes | None) -> None:  # noqa: ARG001  a method's
    """Answer a call of no method, once the client has sent what it had to say."""
    path = call.head.path.decode(errors="replace")
    call.fail(Status.UNIMPLEMENTED, f"there is no {path}")


UNKNOWN = Method(refuse_unknown, is_stream=True)


class Connection(asyncio.Protocol):
    """One client's connection.

    `methods` answer the calls, by path. `connections` are all that are open, this one among
    them as long as it is; `limits` has how many there may be, and the size of messages.
    """

    patience: asyncio.TimerHandle | None = None  # with a client that has not greeted yet

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        connections: "set[Connection]",
        limits: Limits = UNLIMITED,
    ) -> None:
        self.max_message = limits.max_message
        self._max_connections = limits.max_connections
        self.window = frames.DEFAULT_WINDOW
        self._methods = methods
        self._connections = connections
        self._heads = HeadReader()
        self._calls: dict[int, Call] = {}
        self._reader = FrameReader()
        self._block: Frame | None = None  # headers that are not whole
        self._last = 0
        self._stream_window = frames.DEFAULT_WINDOW
        self._taken = 0
        self._resets = 0
        self._is_ending = False

    def connection_made(self, transport: Any) -> None:
        """Say what this side allows; uvloop's transports are no asyncio.Transport."""
        self._transport: asyncio.Transport = transport
        self.write: Callable[[bytes], None] = transport.write
        self._connections.add(self)
        self.write(GREETING)
        if len(self._connections) > self._max_connections:
            self._leave(ErrorCode.ENHANCE_YOUR_CALM, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Nobody waits for the calls that are open."""
        self._connections.discard(self)
        if self.patience:
            self.patience.cancel()  # or it would keep all this until it is over
        for call in list(self._calls.values()):
            call.drop()

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take the frames that are whole."""
        try:
            for came in self._reader.frames_in(data):
                self._take(came)
        except Http2Error as error:
            if not self._reader.is_greeted:
                self.write(NOT_HTTP2)
            self._leave(error.code, str(error))

    def expect_greeting(self) -> None:
        """Close if the client has not said by now that it speaks HTTP/2."""
        if not self._reader.is_greeted:
            self._transport.close()

    def finish(self) -> None:
        """Take no new calls, and close when those that are open have their answers.

        What the client has sent meanwhile is still taken: it is told at once, and the end of
        what is taken is settled when it has answered a ping (RFC 9113, 6.8).
        """
        self._goaway(frames.STREAM_BITS, ErrorCode.NO_ERROR)
        self.write(frame(frames.PING, 0, 0, GOODBYE))
        asyncio.get_running_loop().call_later(1, self._settle_end)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def forget(self, call: Call) -> None:
        """Let go of a call that has ended."""
        del self._calls[call.stream]
        if not call.is_whole and not self._transport.is_closing():
            self._reset(call.stream, ErrorCode.NO_ERROR)
        self._close_if_done()

    def _take(self, came: Frame) -> None:
        if self._block and (came.kind, came.stream) != (frames.CONTINUATION, self._block.stream):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "headers are not whole")
        take = self.FRAME_HANDLERS.get(came.kind)
        if take:  # else a frame of an extension, to be ignored
            take(self, came)

    def _take_data(self, came: Frame) -> None:
        self._taken += len(came.payload)
        if self._taken > WINDOW // 2:
            self.write(frame(frames.WINDOW_UPDATE, 0, 0, number(self._taken)))
            self._taken = 0
        call = self._calls.get(came.stream)
        if came.stream == 0 or came.stream > self._last or (call and call.is_whole):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"data on stream {came.stream}")
        if call:
            payload = unpadded(came.payload) if came.has(frames.PADDED) else came.payload
            call.receive(payload, is_last=came.has(frames.END_STREAM))

    def _take_headers(self, came: Frame) -> None:
        payload = unpadded(came.payload) if came.has(frames.PADDED) else came.payload
        if came.has(frames.HAS_PRIORITY):
            payload = payload[PRIORITY_SIZE:]
        if came.stream % 2 == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"headers on stream {came.stream}")
        self._take_block(came._replace(payload=payload))

    def _take_continuation(self, came: Frame) -> None:
        if not self._block:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a continuation of nothing")
        flags, payload = came.flags | self._block.flags, self._block.payload + came.payload
        self._take_block(came._replace(flags=flags, payload=payload))

    def _take_block(self, came: Frame) -> None:
        """Read headers that are whole; keep them until they are."""
        if len(came.payload) > MAX_HEADERS:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large")
        self._block = None if came.has(frames.END_HEADERS) else came
        if self._block:
            return
        head = self._heads.read(came.payload)
        if came.stream > self._last:
            self._open(came.stream, head)
        call = self._calls.get(came.stream)
        if call and came.has(frames.END_STREAM):
            call.receive(b"", is_last=True)

    def _open(self, stream: int, head: Head) -> None:
        if self._is_ending or len(self._calls) >= MOST_STREAMS:
            self._reset(stream, ErrorCode.REFUSED_STREAM)
            return
        self._last = stream
        method = self._methods.get(head.path, UNKNOWN)
        call = Call(self, stream, head, method, self._stream_window)
        self._calls[stream] = call
        if refusal := refusal_of(head):
            call.refuse(refusal)

    def _take_reset(self, came: Frame) -> None:
        number_in(came.payload)
        if came.stream == 0 or came.stream > self._last:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"the end of stream {came.stream}")
        if call := self._calls.get(came.stream):
            call.drop()
            self._resets += 1
        opened = (self._last + 1) // 2
        if self._resets > max(MOST_RESETS, opened // 2):
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "calls are given up again and again")

    def _take_settings(self, came: Frame) -> None:
        if came.has(frames.ACK):
            return
        for name, value in frames.settings_in(came.payload):
            if name == frames.INITIAL_WINDOW:
                self._resize_windows(value)
        self.write(frame(frames.SETTINGS, frames.ACK, 0))  # which comes before their effect
        self._pump()

    def _resize_windows(self, size: int) -> None:
        if size > frames.MAX_WINDOW:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {size} bytes")
        for call in self._calls.values():
            call.window += size - self._stream_window
        self._stream_window = size

    def _take_window_update(self, came: Frame) -> None:
        more = number_in(came.payload) & frames.STREAM_BITS
        if more == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a window that grows by nothing")
        if came.stream == 0:
            self.window = larger(self.window, more)
            self._pump()
        elif call := self._calls.get(came.stream):
            call.window = larger(call.window, more)
            call.pump()

    def _pump(self) -> None:
        for call in list(self._calls.values()):
            call.pump()

    def _take_ping(self, came: Frame) -> None:
        if len(came.payload) != len(GOODBYE):
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a ping of {len(came.payload)} bytes")
        if not came.has(frames.ACK):
            self.write(frame(frames.PING, frames.ACK, 0, came.payload))
        elif came.payload == GOODBYE:
            self._settle_end()

    def _settle_end(self) -> None:
        if not self._is_ending and not self._transport.is_closing():
            self._is_ending = True
            self._goaway(self._last, ErrorCode.NO_ERROR)
            for call in [call for call in self._calls.values() if call.method.is_stream]:
                call.end()
            self._close_if_done()

    def _leave(self, code: ErrorCode, why: str) -> None:
        self._goaway(self._last, code, why.encode())
        self._transport.close()

    def _goaway(self, last: int, code: ErrorCode, why: bytes = b"") -> None:
        self.write(frame(frames.GOAWAY, 0, 0, number(last) + number(code) + why))

    def _reset(self, stream: int, code: ErrorCode) -> None:
        self.write(frame(frames.RST_STREAM, 0, stream, number(code)))

    def _close_if_done(self) -> None:
        if self._is_ending and not self._calls:
            self._transport.close()

    FRAME_HANDLERS: ClassVar[Mapping[int, Callable[..., None]]] = {
        frames.DATA: _take_data,
        frames.HEADERS: _take_headers,
        frames.RST_STREAM: _take_reset,
        frames.SETTINGS: _take_settings,
        frames.PING: _take_ping,
        frames.WINDOW_UPDATE: _take_window_update,
        frames.CONTINUATION: _take_continuation,
    }


def larger(window: int, more: int) -> int:
    """A window that has grown. Raises `Http2Error` when it has grown too much."""
    if window + more > frames.MAX_WINDOW:
        raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {window + more} bytes")
    return window + more


def refusal_of(head: Head) -> bytes | None:
    """The answer to what is no call of gRPC's (gRPC over HTTP/2, "Requests"); None for a call."""
    if head.method != b"POST":
        return block_of((":status", "405"))
    if not head.content_type.startswith(b"application/grpc"):
        return block_of((":status", "415"))
    return None
