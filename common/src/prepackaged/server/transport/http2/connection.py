"""A connection of HTTP/2 on asyncio: sockets and timers around a core.

It passes each stream's events to the object that `accept` returned for it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from prepackaged.server.transport.http2.core import Http2Core
from prepackaged.server.transport.http2.events import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    PingAcknowledged,
    StreamReset,
)
from prepackaged.server.transport.http2.frames import ErrorCode
from prepackaged.server.transport.http2.headers import HeaderBlock, Headers

PREFACE_SECONDS = 60  # for a client to say that it speaks HTTP/2
HEADER_SECONDS = 10  # for a header block to be whole
SEND_SECONDS = 60  # for a client to take some of what waits for it
END_SECONDS = 1  # for a client to answer that it knows of the end
EVENTS_AT_A_TIME = 256  # then other connections have their turn
LAST_PING = b"goodbye!"  # the eight bytes of the ping that goes with a GOAWAY


class StreamUser(Protocol):
    """The receiver of one stream's events, until `Http2Connection.release`."""

    def data_received(self, data: bytes, *, ended: bool) -> None:
        """Take data; `ended` says that nothing more follows."""

    def lost(self) -> None:
        """The client wants no answer any more, or its connection is lost."""

    def shut_down(self) -> None:
        """The server stops; end a stream that would go on for ever."""


#: Takes a stream that a client opened; `ended` says that nothing but headers belongs to it.
Accept = Callable[["Http2Connection", int, Headers, bool], StreamUser | None]


@dataclass(frozen=True)
class Http2Port:
    """What the connections of a port share.

    `not_http2` is the answer to a client that speaks something else.
    """

    accept: Accept
    connections: "set[Http2Connection]"
    max_connections: float
    not_http2: bytes


class Http2Connection(asyncio.Protocol):
    """One client's connection; it is among its port's as long as it is open.

    Streams are sent on through `core`, and `flush` after it.
    """

    def __init__(self, port: Http2Port) -> None:
        self.core = Http2Core()
        self._port = port
        self._users: dict[int, StreamUser] = {}
        self._is_reading = False
        self._is_ending = False
        self._is_write_paused = False
        self._preface_timer: asyncio.TimerHandle | None = None
        self._header_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin; uvloop's transports are no asyncio.Transport."""
        self._transport: asyncio.Transport = transport
        self._port.connections.add(self)
        if len(self._port.connections) > self._port.max_connections:
            self.core.refuse_streams(ErrorCode.ENHANCE_YOUR_CALM, "too many connections")
            self._close()

    def expect_preface_within(self, seconds: float) -> None:
        """Close when the client has not said by then that it speaks HTTP/2."""
        loop = asyncio.get_running_loop()
        self._preface_timer = loop.call_later(seconds, self.expect_preface)

    def expect_preface(self) -> None:
        """Close unless the client has said that it speaks HTTP/2."""
        if not self.core.has_preface:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Nobody waits for the streams that are open."""
        self._port.connections.discard(self)
        for timer in (self._preface_timer, self._header_timer, self._send_timer):
            if timer:
                timer.cancel()  # or it would keep all this until it is over
        users, self._users = self._users, {}
        for user in users.values():
            user.lost()

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read."""
        self._is_write_paused = True
        self._transport.pause_reading()
        self._watch_sending()

    def resume_writing(self) -> None:
        """Read on."""
        self._is_write_paused = False
        if not self.core.has_more:
            self._resume_reading()

    def data_received(self, data: bytes) -> None:
        """Handle what has arrived, some of it now and the rest when others had their turn."""
        self._is_reading = True
        left, handlers = EVENTS_AT_A_TIME, self.EVENT_HANDLERS
        for event in self.core.receive(data):
            handlers[type(event)](self, event)
            left -= 1
            if not left:
                break
        self._is_reading = False
        self.flush()
        if not left and self.core.has_more:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)
        if self.core.open_block and not self._header_timer:
            self._watch_headers()

    def flush(self) -> None:
        """Write what the core has to send; while data is handled, that is done at its end."""
        if not self._is_reading:
            data = self.core.take_output()
            if data and not self._transport.is_closing():
                self._transport.write(data)
            if self.core.unsent:
                self._watch_sending()
            if self._is_ending and not self.core.has_streams:
                self._transport.close()

    def release(self, stream: int) -> None:
        """Tell nobody of a stream any more: its response was given."""
        self._users.pop(stream, None)

    def finish(self) -> None:
        """Take no new streams, and close when those that are open have their responses.

        A first GOAWAY announces the end; streams that the client opens before it reads it are
        still accepted. Its answer to a ping settles the last stream (RFC 9113, 6.8).
        """
        self.core.announce_end()
        self.core.ping(LAST_PING)
        self.flush()
        asyncio.get_running_loop().call_later(END_SECONDS, self._settle_end)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _take_headers(self, event: HeadersReceived) -> None:
        stream, headers, ended = event
        user = self._port.accept(self, stream, headers, ended)
        if user is not None:
            self._users[stream] = user

    def _take_data(self, event: DataReceived) -> None:
        stream, data, ended = event
        user = self._users.get(stream)
        if user is not None:
            user.data_received(data, ended=ended)

    def _take_reset(self, event: StreamReset) -> None:
        user = self._users.pop(event.stream, None)
        if user is not None:
            user.lost()

    def _take_ping(self, event: PingAcknowledged) -> None:
        if event.payload == LAST_PING and self.core.is_ending:
            self._settle_end()

    def _take_failure(self, event: ConnectionFailed) -> None:  # noqa: ARG002  a handler's
        if not self.core.is_http2:
            self._transport.write(self._port.not_http2)
        self._close()

    EVENT_HANDLERS: ClassVar[Mapping[type, Callable[..., None]]] = {
        HeadersReceived: _take_headers,
        DataReceived: _take_data,
        StreamReset: _take_reset,
        PingAcknowledged: _take_ping,
        ConnectionFailed: _take_failure,
    }

    def _settle_end(self) -> None:
        if self._is_ending or self._transport.is_closing():
            return
        self._is_ending = True
        self.core.refuse_streams()
        for user in list(self._users.values()):
            user.shut_down()
        self.flush()

    def _close(self) -> None:
        """Send the last there is, and close."""
        self._is_reading = False
        self.flush()
        self._transport.close()

    def _go_on(self) -> None:
        """Handle the rest of what has arrived."""
        if not self._transport.is_closing():
            self.data_received(b"")
            if not self.core.has_more:
                self._resume_reading()

    def _resume_reading(self) -> None:
        if not (self._is_write_paused or self._transport.is_closing()):
            self._transport.resume_reading()

    def _watch_headers(self) -> None:
        """Look later whether a header block is whole."""
        block, loop = self.core.open_block, asyncio.get_running_loop()
        self._header_timer = loop.call_later(HEADER_SECONDS, self._expect_headers, block)

    def _expect_headers(self, before: HeaderBlock | None) -> None:
        self._header_timer = None
        if self.core.open_block is before:
            self.core.refuse_streams(ErrorCode.ENHANCE_YOUR_CALM, "a header block took too long")
            self._close()
        elif self.core.open_block:
            self._watch_headers()

    def _watch_sending(self) -> None:
        """Look later whether the client has taken some of what waits for it."""
        if not self._send_timer:
            before = self._progress()
            loop = asyncio.get_running_loop()
            self._send_timer = loop.call_later(SEND_SECONDS, self._expect_progress, before)

    def _progress(self) -> tuple[int, int]:
        return self.core.sent, self._transport.get_write_buffer_size()

    def _expect_progress(self, before: tuple[int, int]) -> None:
        self._send_timer = None
        if not (self.core.unsent or self._is_write_paused):
            return
        if self._progress() == before:
            self._transport.abort()
        else:
            self._watch_sending()
