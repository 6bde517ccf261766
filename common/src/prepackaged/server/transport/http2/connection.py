"""An HTTP/2 connection on asyncio: sockets and timers around `Http2Core`.

It passes each stream's events to the object that `accept` returned for it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from prepackaged.server.transport.http2.core import Http2Core
from prepackaged.server.transport.http2.events import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    PingAcknowledged,
    StreamReset,
)
from prepackaged.server.transport.http2.frames import ErrorCode
from prepackaged.server.transport.http2.headers import HeaderBlock
from prepackaged.server.transport.http2.memory import StreamMemory
from prepackaged.server.transport.http2.port import Http2Port, StreamUser
from prepackaged.server.transport.memory import SMALL
from prepackaged.server.transport.unread import Unread, kept_by_kernel

PREFACE_SECONDS = 60  # the time for a client to send the preface of HTTP/2
HEADER_SECONDS = 10  # the time for a header block to arrive
LOOK_SECONDS = 60  # between looks at a connection, see `_look`
END_SECONDS = 1  # the time for a client to acknowledge the end
TURN_SECONDS = 0.002  # seconds of an iteration of the event loop for one client's events
MUCH = 2**17  # bytes received in one read; then other connections get their turn
LAST_PING = b"goodbye!"  # the eight bytes of the ping that follows a GOAWAY
LIFE_PING = b"is alive"  # and of the ping that tests whether a client still responds


class Http2Connection(asyncio.Protocol):
    """A client's connection, registered with its port while it is open.

    To send on a stream, call `core`, then `flush`. After `idle_seconds` without a call, the next
    check closes it. Unlike in HTTP/1, a client that closes its sending side counts as disconnected:
    it could no longer acknowledge settings and pings, or grant credit. nginx, Envoy and gRPC close,
    too.
    """

    def __init__(self, port: Http2Port) -> None:
        self.core = Http2Core()
        self._port = port
        self._users: dict[int, StreamUser] = {}
        self._is_reading = False
        self._is_ending = False
        self._is_write_paused = False
        self._is_silent = False  # since the last look
        self._kept = 0  # bytes in the kernel
        self.idle_seconds = port.idle_seconds
        self._unread = Unread(port.memory, self._waiting, self.abort)
        self._memory = StreamMemory(port.memory)
        self._preface_timer: asyncio.TimerHandle | None = None
        self._header_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin. uvloop's transports are no asyncio.Transport."""
        self._transport: asyncio.Transport = transport
        self._loop = asyncio.get_running_loop()
        self._active_at = self._loop.time()
        self._look_timer = self._loop.call_later(LOOK_SECONDS, self._look)
        port, connections = self._port, self._port.connections
        is_full = len(connections) >= port.max_connections and not port.eviction.make_room(
            connections, self._active_at
        )
        connections.add(self)
        if is_full:  # a GOAWAY as the first word makes clients of grpc-core try without a pause
            self._transport.abort()

    def expect_preface_within(self, seconds: float) -> None:
        """Close unless the client's preface arrives within that time."""
        self._preface_timer = asyncio.get_running_loop().call_later(seconds, self.expect_preface)

    def expect_preface(self) -> None:
        """Close unless the client's preface has arrived."""
        if not self.core.has_preface:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Cancel the open streams: the client has disconnected."""
        self._port.connections.discard(self)
        self._unread.close()
        self._memory.close()
        for timer in (self._preface_timer, self._header_timer, self._look_timer):
            if timer:
                timer.cancel()  # or it would keep all this until it is over
        users, self._users = self._users, {}
        for user in users.values():
            user.lost()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read."""
        self._is_write_paused = True
        self._transport.pause_reading()
        self._unread.update()

    def resume_writing(self) -> None:
        """Resume reading; in the meantime, nothing from the client was read."""
        self._is_write_paused = self._is_silent = False
        self._unread.update()
        if not self.core.has_more:
            self._resume_reading()

    def data_received(self, data: bytes) -> None:
        """Handle received bytes, in turns with other connections."""
        self._is_reading = True
        self._is_silent = False
        self._handle(data)
        self._is_reading = False
        self.flush()
        if (self.core.has_more or len(data) > MUCH) and not self._transport.is_closing():
            self._transport.pause_reading()
            self._loop.call_soon(self._go_on)
        if self.core.open_block and not self._header_timer:
            self._watch_headers()

    def _handle(self, data: bytes) -> None:
        """Handle events until none are left or this client's turn ends."""
        until, handlers = time.perf_counter() + TURN_SECONDS, self.EVENT_HANDLERS
        for event in self.core.receive(data):
            if event is not None:
                handlers[type(event)](self, event)
            if time.perf_counter() > until:
                break

    def flush(self) -> None:
        """Write the core's output; while data is handled, wait for the end of it."""
        if not self._is_reading:
            data = self.core.take_output()
            if data and not self._transport.is_closing():
                self._transport.write(data)
            if self.core.unsent or self._unread.size:
                self._unread.update()
            if self._is_ending and not self.core.has_streams:
                self._transport.close()

    def release(self, stream: int) -> None:
        """Stop passing on a stream's events: its response was given."""
        self._users.pop(stream, None)
        if self._memory.is_used:
            self._memory.release(stream, len(self._users))

    def shut_down(self) -> None:
        """Accept no new streams, and close when open ones have their responses.

        A first GOAWAY announces the end; streams that the client opens before it reads it are still
        accepted. The answer to a ping determines the last stream (RFC 9113, 6.8).
        """
        self.core.announce_end()
        self.core.ping(LAST_PING)
        self.flush()
        self._loop.call_later(END_SECONDS, self._settle_end)

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def idle_since(self) -> float | None:
        """The time of the latest call; None while a call has no response."""
        return None if self.core.has_streams or self.core.is_ending else self._active_at

    def end_idle(self) -> None:
        """Close to make room for another client."""
        self._port.connections.discard(self)
        self.core.refuse_streams()
        self._close()

    def _take_headers(self, event: HeadersReceived) -> None:
        stream, headers, ended = event
        self._active_at = self._loop.time()
        opened = len(self._users)
        is_light = opened < self._memory.room and headers.size <= SMALL
        if not (is_light or self._memory.admits(stream, opened, headers.size)):
            self.core.reset(stream, ErrorCode.REFUSED_STREAM)
            return
        user = self._port.accept(self, stream, headers, ended)
        if user is not None:
            self._users[stream] = user
        elif not is_light:
            self.release(stream)

    def _take_data(self, event: DataReceived) -> None:
        stream, data, ended = event
        user = self._users.get(stream)
        if user is not None:
            user.data_received(data, ended=ended)

    def _take_reset(self, event: StreamReset) -> None:
        user = self._users.get(event.stream)
        if user is not None:
            self.release(event.stream)
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
        """Send the remaining output, and close."""
        self._is_reading = False
        self.flush()
        self._transport.close()

    def _go_on(self) -> None:
        """Handle the rest of the received bytes."""
        if not self._transport.is_closing():
            self.data_received(b"")
            if not self.core.has_more:
                self._resume_reading()

    def _resume_reading(self) -> None:
        if not (self._is_write_paused or self._transport.is_closing()):
            self._transport.resume_reading()

    def _watch_headers(self) -> None:
        """Set a timer for an incomplete header block."""
        if not self._memory.admits_block():
            self.core.refuse_streams(ErrorCode.ENHANCE_YOUR_CALM, "no memory for a header block")
            self._close()
            return
        block = self.core.open_block
        self._header_timer = self._loop.call_later(HEADER_SECONDS, self._expect_headers, block)

    def _expect_headers(self, before: HeaderBlock | None) -> None:
        self._header_timer = None
        if self.core.open_block is before:
            self.core.refuse_streams(ErrorCode.ENHANCE_YOUR_CALM, "a header block took too long")
            self._close()
        elif self.core.open_block:
            self._watch_headers()
        else:
            self._memory.release_block()

    def _waiting(self) -> tuple[int, Any]:
        """The number of unread bytes, and a value that changes when the client reads some."""
        if not self._is_write_paused:
            return self.core.unsent, self.core.sent
        written = self._transport.get_write_buffer_size()
        taken = (self.core.sent, written, kept_by_kernel(self._transport))
        return self.core.unsent + written, taken

    def _look(self) -> None:
        """At intervals, ping a silent client and close an idle connection.

        A client that has not answered a ping by the next check has disconnected, unless it still
        takes bytes that were sent before the ping, or the server has stopped reading: then `Unread`
        decides. Streams check their own timeouts.
        """
        self._look_timer = self._loop.call_later(LOOK_SECONDS, self._look)
        for user in list(self._users.values()):
            user.look(LOOK_SECONDS)
        if self._is_silent and not (self._is_write_paused or self._takes_more()):
            self._transport.abort()
            return
        self._is_silent = True
        if self.core.has_streams:
            self._active_at = self._loop.time()
        if self._loop.time() - self._active_at > self.idle_seconds:
            self.shut_down()
        elif self.core.has_preface:
            self.core.ping(LIFE_PING)
            self.flush()

    def _takes_more(self) -> bool:
        """Whether the client has taken some bytes from the kernel's buffer since the last call."""
        before, self._kept = self._kept, kept_by_kernel(self._transport)
        return 0 < self._kept != before
