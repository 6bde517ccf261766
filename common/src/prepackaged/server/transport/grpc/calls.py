"""A call on a stream of HTTP/2: its messages come in, its answers go out.

The framing is gRPC's own: a byte that tells whether the message is compressed, its length in
four bytes, the message (gRPC over HTTP/2, "Length-Prefixed-Message").
"""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prepackaged.server.transport.grpc.status import Status
from prepackaged.server.transport.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_FRAME,
    frame,
)
from prepackaged.server.transport.http2.headers import (
    BEGIN,
    BEGIN_BLOCK,
    OK_BLOCK,
    Head,
    block_of,
    trailers_of,
)

PREFIX = 5  # bytes before a message
LARGEST_INFLATED = 2**30  # bytes of a compressed message, where no limit is set
WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


class CallError(Exception):
    """The call ends with this status."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Method:
    """What answers the calls of a path.

    `take` gets the call and its message: the one there is or, when `is_stream`, each, and then
    None when no more will come.
    """

    take: Callable[["Call", bytes | None], None]
    is_stream: bool = False


class Way(Protocol):
    """A call's connection, as the call sees it."""

    window: int
    write: Callable[[bytes], None]
    max_message: int | None

    def forget(self, call: "Call") -> None:
        """Let go of a call that has ended."""


class Call:
    """One call, from its headers to its trailers.

    `cancel` is called when the client does not want the answer any more.
    """

    __slots__ = (
        "_has_begun",
        "_messages",
        "_received",
        "_timer",
        "_unsent",
        "_unsent_end",
        "_way",
        "cancel",
        "head",
        "is_open",
        "is_whole",
        "method",
        "stream",
        "window",
    )

    def __init__(self, way: Way, stream: int, head: Head, method: Method, window: int) -> None:
        self._way = way
        self.stream = stream
        self.head = head
        self.method = method
        self.window = window
        self.cancel: Callable[[], object] | None = None
        self.is_open = True
        self.is_whole = False
        self._has_begun = False
        self._messages: list[bytes] = []
        self._received = bytearray()
        self._unsent = bytearray()
        self._unsent_end = b""
        self._timer: asyncio.TimerHandle | None = None
        if head.timeout is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(head.timeout, self._end_late)

    def receive(self, data: bytes, *, is_last: bool) -> None:
        """Take data of the client's."""
        self._received += data
        self.is_whole = is_last
        try:
            while (message := self._next_message()) is not None:
                self._take(message)
            if is_last:
                self._take_end()
        except CallError as error:
            self.fail(error.status, str(error))

    def check_size(self, message: bytes) -> None:
        """Raise `CallError` when a message is larger than allowed."""
        size, limit = len(message), self._way.max_message
        if limit is not None and size > limit:
            raise CallError(Status.RESOURCE_EXHAUSTED, f"the answer: {_too_large(size, limit)}")

    def send(self, message: bytes) -> None:
        """Give one answer of several."""
        self._put(self._begin(), _framed(message), b"")

    def answer(self, message: bytes) -> None:
        """Give the one answer there is."""
        self._put(self._begin(), _framed(message), self._end(OK_BLOCK))

    def end(self) -> None:
        """End a call whose answers were all given."""
        self._put(self._begin(), b"", self._end(OK_BLOCK))

    def fail(self, status: Status, details: str) -> None:
        """End the call with an error."""
        begin = () if self._has_begun else BEGIN
        self.refuse(block_of(*begin, *trailers_of(status, details)))

    def refuse(self, block: bytes) -> None:
        """End the call with these headers and nothing else."""
        self._has_begun = True
        self._put(b"", b"", self._end(block))

    def drop(self) -> None:
        """The client does not want it any more."""
        self.is_whole = True
        cancel = self.cancel
        self._close()
        if cancel:
            cancel()

    def pump(self) -> None:
        """Send as much as the client's windows take."""
        way = self._way
        while (size := min(len(self._unsent), MAX_FRAME, self.window, way.window)) > 0:
            part = bytes(self._unsent[:size])
            del self._unsent[:size]
            self._count(size)
            way.write(frame(DATA, 0, self.stream, part))
        if self._unsent_end and not self._unsent:
            way.write(self._unsent_end)
            self._close()

    def _take(self, message: bytes) -> None:
        if self.method.is_stream:
            self.method.take(self, message)
        else:
            self._messages.append(message)

    def _take_end(self) -> None:
        if self._received:
            raise CallError(Status.INVALID_ARGUMENT, "the last message is not whole")
        if self.method.is_stream:
            self.method.take(self, None)
        elif len(self._messages) == 1:
            self.method.take(self, self._messages.pop())
        else:
            came = f"expected one message, got {len(self._messages)}"
            raise CallError(Status.INVALID_ARGUMENT, came)

    def _next_message(self) -> bytes | None:
        if len(self._received) < PREFIX or not self.is_open:
            return None
        length, limit = int.from_bytes(self._received[1:PREFIX], "big"), self._way.max_message
        if limit is not None and length > limit:
            raise CallError(Status.RESOURCE_EXHAUSTED, _too_large(length, limit))
        if len(self._received) < PREFIX + length:
            return None
        is_compressed = self._received[0]
        with memoryview(self._received) as received:
            message = bytes(received[PREFIX : PREFIX + length])
        del self._received[: PREFIX + length]
        return self._inflated(message) if is_compressed else message

    def _inflated(self, message: bytes) -> bytes:
        bits = WINDOW_BITS.get(self.head.encoding)
        if bits is None:
            name = self.head.encoding.decode("latin-1")
            raise CallError(Status.UNIMPLEMENTED, f"expected gzip or deflate, got {name}")
        inflater, limit = zlib.decompressobj(bits), self._way.max_message or LARGEST_INFLATED
        try:
            inflated = inflater.decompress(message, limit + 1)
        except zlib.error as error:
            raise CallError(Status.INVALID_ARGUMENT, f"a compressed message: {error}") from error
        if len(inflated) > limit:
            raise CallError(Status.RESOURCE_EXHAUSTED, _too_large(len(inflated), limit))
        if not inflater.eof:
            raise CallError(Status.INVALID_ARGUMENT, "a compressed message is not whole")
        return inflated

    def _begin(self) -> bytes:
        """The frame that goes before the first answer."""
        if self._has_begun:
            return b""
        self._has_begun = True
        return frame(HEADERS, END_HEADERS, self.stream, BEGIN_BLOCK)

    def _end(self, block: bytes) -> bytes:
        return frame(HEADERS, END_HEADERS | END_STREAM, self.stream, block)

    def _put(self, begin: bytes, data: bytes, end: bytes) -> None:
        """Send all at once, or as the windows allow."""
        if not self.is_open:
            return
        if self._unsent or len(data) > min(MAX_FRAME, self.window, self._way.window):
            self._way.write(begin)
            self._unsent += data
            self._unsent_end = end
            self.pump()
            return
        self._count(len(data))
        self._way.write(begin + (frame(DATA, 0, self.stream, data) if data else b"") + end)
        if end:
            self._close()

    def _count(self, size: int) -> None:
        self.window -= size
        self._way.window -= size

    def _close(self) -> None:
        self.is_open = False
        self.cancel = None  # it leads back here: a circle for the garbage collector
        if self._timer:
            self._timer.cancel()
        self._way.forget(self)

    def _end_late(self) -> None:
        cancel = self.cancel
        self.fail(Status.DEADLINE_EXCEEDED, f"no answer within {self.head.timeout} s")
        if cancel:
            cancel()


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def _too_large(size: int, limit: int) -> str:
    return f"a message of {size} bytes; {limit} are allowed"
