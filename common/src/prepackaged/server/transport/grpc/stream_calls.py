"""Streaming calls, such as the watch of grpc.health."""

import asyncio
import logging
from collections.abc import Callable
from enum import IntEnum

from prepackaged.errors import describe
from prepackaged.server.transport.errors import TransportError
from prepackaged.server.transport.grpc.calls import LEAST_RATE, MESSAGE_SECONDS
from prepackaged.server.transport.grpc.headers import CallHeaders
from prepackaged.server.transport.grpc.messages import MessageReader, framed, inflated_message
from prepackaged.server.transport.grpc.status import (
    BEGIN,
    BEGIN_BLOCK,
    OK_BLOCK,
    CallError,
    Status,
    cut,
    trailers_of,
)
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.server.transport.http2.frames import ErrorCode
from prepackaged.server.transport.http2.hpack import block_of
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.memory import SMALL

logger = logging.getLogger(__name__)

MOST_UNSENT = 2**22  # bytes that a client does not take, before its streams of answers end
MAX_MESSAGE = 2**16  # bytes; requests of these streams are short

#: Gets each message of a call, and None after the last.
StreamHandler = Callable[["StreamCall", bytes | None], None]


class StreamMethod:
    """The handler of the streaming calls of a path."""

    __slots__ = ("handler", "limits")

    def __init__(self, handler: StreamHandler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits

    @property
    def max_message(self) -> int:
        """The bytes that a message may have."""
        return min(self.limits.max_body or MAX_MESSAGE, MAX_MESSAGE)

    def call(self, connection: Http2Connection, stream: int, headers: CallHeaders) -> "StreamCall":
        """Begin a call."""
        return StreamCall(connection, stream, headers, self)


class StreamCall:
    """A streaming call, which is not observed; `on_end` is called when either side ends it."""

    __slots__ = (
        "_connection",
        "_handler",
        "_has_begun",
        "_held",
        "_memory",
        "_reader",
        "_stream",
        "_timer",
        "_waited",
        "headers",
        "is_open",
        "on_end",
    )

    def __init__(
        self, connection: Http2Connection, stream: int, headers: CallHeaders, method: StreamMethod
    ) -> None:
        self.headers = headers
        self.is_open = True
        self.on_end: Callable[[], object] | None = None
        self._connection = connection
        self._stream = stream
        self._handler = method.handler
        self._has_begun = False
        self._held = 0
        self._memory = method.limits.memory
        self._reader = MessageReader(headers.encoding, method.max_message)
        self._waited = 0.0  # seconds for the rest of a message
        self._timer: asyncio.TimerHandle | None = None
        if headers.timeout is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(headers.timeout, self._expire, headers.timeout)

    def data_received(self, data: bytes, *, ended: bool) -> None:
        """Pass complete messages to the handler."""
        self._reader.feed(data)
        try:
            self._handle(ended=ended)
            self._hold(self._reader.size)
        except CallError as error:
            self.fail(error.status, str(error))
        except TransportError as error:
            self.fail(Status.UNAVAILABLE, str(error))
        except Exception as error:
            logger.exception("A call to %s failed", self.headers.path)
            self.fail(Status.INTERNAL, describe(error))

    def send(self, message: bytes) -> None:
        """Send one response; the stream is reset if the client reads too slowly."""
        connection = self._connection
        if not self.is_open:
            return
        if connection.core.unsent > MOST_UNSENT:
            connection.core.reset(self._stream, ErrorCode.ENHANCE_YOUR_CALM)
            self._close()
        else:
            self._begin()
            connection.core.send_data(self._stream, framed(message))
        connection.flush()

    def end(self) -> None:
        """End a call after all its responses were sent."""
        if self.is_open:
            self._begin()
            self._end(OK_BLOCK)

    def fail(self, status: IntEnum, details: str) -> None:
        """End the call with an error."""
        if self.is_open:
            begin = () if self._has_begun else BEGIN
            self._end(block_of(*begin, *trailers_of(status, cut(details))))

    def lost(self) -> None:
        """The client no longer wants the responses."""
        self._close()

    def shut_down(self) -> None:
        """End a call that would not end by itself."""
        self.end()

    def look(self, seconds: float) -> None:
        """End a call if a message takes too long to arrive; a call without one may stay open."""
        if not self._reader.has_bytes:
            return
        self._waited += seconds
        if self._waited > MESSAGE_SECONDS + self._reader.size / LEAST_RATE:
            self.fail(Status.DEADLINE_EXCEEDED, "the rest of the message did not arrive")

    def _handle(self, *, ended: bool) -> None:
        reader, core = self._reader, self._connection.core
        while self.is_open and (message := reader.next()) is not None:
            self._waited = 0.0
            self._handler(self, self._inflated(message))
            core.consumed(self._stream)
        if ended and reader.has_bytes:
            raise CallError(Status.INVALID_ARGUMENT, "expected whole messages, got a part of one")
        if ended and self.is_open:
            self._handler(self, None)
        elif reader.has_bytes:
            core.want(self._stream, reader.missing)

    def _inflated(self, message: bytes) -> bytes:
        if not self._reader.is_compressed:
            return message
        return inflated_message(message, self.headers.encoding, MAX_MESSAGE)

    def _hold(self, size: int) -> None:
        """Count the memory of an incomplete message. Raises `TransportError`."""
        size = size if size > SMALL and self.is_open else 0
        if size > self._held:
            self._memory.take(size - self._held, self._held)
        elif size < self._held:
            self._memory.give_back(self._held - size)
        self._held = size

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._connection.core.send_headers(self._stream, BEGIN_BLOCK)

    def _end(self, block: bytes) -> None:
        core = self._connection.core
        if self._has_begun:
            core.send_data(self._stream, b"", end_block=block)
        else:
            core.send_headers(self._stream, block, end=True)
        self._close()
        self._connection.flush()

    def _close(self) -> None:
        self.is_open = False
        self._hold(0)
        if self._timer:
            self._timer.cancel()
        self._connection.release(self._stream)
        on_end, self.on_end = self.on_end, None  # it leads back here, a cycle
        if on_end:
            on_end()

    def _expire(self, seconds: float) -> None:
        self.fail(Status.DEADLINE_EXCEEDED, f"no answer within {seconds:g} s")
