"""An HTTP/2 client and a server's connection, joined in memory without a network.

The client is `h2`, which checks that the server follows the protocol.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, TrailersReceived
from hyperframe.frame import Frame

from prepackaged.server.transport.background import BACKGROUND
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.grpc.server import NOT_HTTP2, Methods
from prepackaged.server.transport.grpc.status import (
    CallError,
    Status,
    response_of,
    transport_failure,
)
from prepackaged.server.transport.grpc.stream_calls import StreamCall
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.server.transport.http2.port import Http2Port
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import WireProtocol

LIMIT = 200_000  # bytes of a message
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/echo"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """A frame header (RFC 9113, 4.1)."""
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame, valid or not."""
    return head(len(payload), kind, flags, stream) + payload


def framed(message: bytes, flag: int = 0) -> bytes:
    """A message with gRPC's length prefix."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def frames_in(data: bytes) -> list[Any]:
    """Parse the frames in `data`; `h2` ignores frames after GOAWAY, which RFC 9113 allows."""
    frames = []
    while data:
        frame, size = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + size]))
        frames.append(frame)
        data = data[9 + size :]
    return frames


class Transport:
    """A transport that stores what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_closed = False
        self.reads = True
        self.buffered = 0

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str) -> None:
        """Tell nothing of a socket."""


def echo(exchange: Exchange) -> None:
    """Answer with the request's body."""
    exchange.respond(Response(exchange.body))


def repeat(call: StreamCall, message: bytes | None) -> None:
    """Send each message of a stream back at once, and end when the client does."""
    if message is None:
        call.end()
    else:
        call.send(message)


def failure(exchange: Exchange, error: BaseException) -> Response:
    """Convert an error into a response."""
    if isinstance(error, ValueError):
        return response_of(Status.INTERNAL, str(error))
    assert isinstance(error, CallError | TimeoutError) or hasattr(error, "headers")
    return transport_failure(error)


class Service:
    """The methods `/echo`, `/wait` (keeps its exchanges) and `/fail`, and the stream `/repeat`.

    `observed` has the status, size and code of each call, as the observer got them.
    """

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.cancelled: list[Exchange] = []
        self.observed: list[tuple[int, int, str]] = []

    def wait(self, exchange: Exchange) -> None:
        """Keep an exchange, and record its cancellation."""
        exchange.on_cancel = lambda: self.cancelled.append(exchange)
        self.exchanges.append(exchange)

    def fail(self, exchange: Exchange) -> None:
        """Raise an error."""
        raise ValueError("no luck")

    def observe(self, context: Any, status: int, size: int, code: str = "") -> None:
        """Record what the observer gets."""
        self.observed.append((status, size, code))

    def port(self, limits: Limits) -> Http2Port:
        """A port that serves these methods."""
        protocol = WireProtocol(
            prefix="/",
            http_failure=failure,
            grpc_failure=failure,
            methods={"/echo": echo, "/wait": self.wait, "/fail": self.fail},
            streams={"/repeat": repeat},
        )
        return self.port_of(protocol, limits=limits)

    def port_of(self, *protocols: WireProtocol, limits: Limits | None = None) -> Http2Port:
        """A port that serves these protocols."""
        limits = limits or Limits(LIMIT)
        methods = Methods(protocols, limits, self.observe)
        return Http2Port(methods.accept, set(), limits.max_connections, NOT_HTTP2, limits.memory)


async def prepared() -> None:
    """Wait until the threads for large messages are idle and the loop has their results."""
    loop, barrier = asyncio.get_running_loop(), threading.Barrier(BACKGROUND._max_workers)
    if BACKGROUND._threads:
        waits = [loop.run_in_executor(BACKGROUND, barrier.wait) for _ in range(barrier.parties)]
        await asyncio.gather(*waits)


@contextmanager
def looping() -> Iterator[None]:
    """Set the event loop on which all clients' servers run."""
    with asyncio.Runner() as runner:
        Client.loop = runner.get_loop()
        yield


class Client:
    """A client and the server connection that it talks to, on the loop of `looping`."""

    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self, port: Http2Port, *, greets: bool = True) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.server = Http2Connection(port)
        self.transport = Transport()
        self.run(lambda: self.server.connection_made(self.transport))
        self.events: list[Event] = []
        if greets:
            self.h2.initiate_connection()
            self.exchange()

    def run(self, function: Callable[[], Any]) -> None:
        """Call a function on the loop, and run the loop until the server's work for it is done."""

        async def call() -> None:
            function()
            await prepared()
            while not (self.transport.reads or self.transport.is_closed):
                if self.server._is_write_paused:
                    break
                await asyncio.sleep(0)

        self.loop.run_until_complete(call())

    def receive(self, data: bytes) -> None:
        """Pass bytes to the server."""
        if not self.transport.is_closed:
            self.run(lambda: self.server.data_received(data))

    def exchange(self, pieces: int | None = None) -> list[Event]:
        """Exchange bytes in both directions until none are left; return all events so far."""
        while data := self.h2.data_to_send():
            size = pieces or len(data)
            for start in range(0, len(data), size):
                self.receive(data[start : start + size])
            self.take()
        return self.events

    def take(self) -> None:
        """Pass the server's bytes to the client."""
        answer, self.transport.written = bytes(self.transport.written), bytearray()
        self.events += self.h2.receive_data(answer)

    def raw(self, data: bytes) -> list[Event]:
        """Send raw bytes that `h2` would not send, and return all events so far."""
        self.receive(data)
        self.take()
        return self.events

    def begin(self, *more: tuple[str, str], path: str = "/echo", end: bool = False) -> int:
        """Open a stream and return its number."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(name, path if name == ":path" else value) for name, value in CALL]
        self.h2.send_headers(stream, [*fields, *more], end_stream=end)
        return stream

    def send(self, stream: int, data: bytes, *, ends: bool = True) -> None:
        """Send data in frames of at most 16,384 bytes."""
        for start in range(0, max(len(data), 1), 16_384):
            is_last = start + 16_384 >= len(data)
            self.h2.send_data(stream, data[start : start + 16_384], end_stream=ends and is_last)
            self.exchange()

    def call(self, message: bytes, *more: tuple[str, str], path: str = "/echo") -> int:
        """Make a complete call and return its stream."""
        stream = self.begin(*more, path=path)
        self.send(stream, framed(message))
        return stream

    def is_answered(self) -> bool:
        """Return whether a valid call is answered."""
        return self.data(self.call(b"hello")) == framed(b"hello")

    def data(self, stream: int) -> bytes:
        """The data received on a stream."""
        return b"".join(event.data for event in self.of(DataReceived) if event.stream_id == stream)

    def acknowledge(self) -> None:
        """Return the received bytes to the flow-control windows."""
        for event in self.of(DataReceived):
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                event.flow_controlled_length = 0
        self.exchange()

    def status(self, stream: int) -> Mapping[str, str]:
        """The headers or trailers that ended a call."""
        ends = (TrailersReceived, ResponseReceived)
        of_stream = [
            event for event in self.events if isinstance(event, ends) and event.stream_id == stream
        ]
        return dict(of_stream[-1].headers or [])

    def of(self, kind: type) -> list[Any]:
        """The events of this type."""
        return [event for event in self.events if isinstance(event, kind)]
