"""A client of HTTP/2 and a server's side of its connection, without a network between them.

The client is `h2`, which holds its peer to every rule.
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
    """A frame's nine first bytes (RFC 9113, 4.1)."""
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame, whatever is wrong with it."""
    return head(len(payload), kind, flags, stream) + payload


def framed(message: bytes, flag: int = 0) -> bytes:
    """A message as gRPC frames it."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def frames_in(data: bytes) -> list[Any]:
    """The frames that were written: `h2` takes none after a GOAWAY, though RFC 9113 says so."""
    frames = []
    while data:
        frame, size = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + size]))
        frames.append(frame)
        data = data[9 + size :]
    return frames


class Transport:
    """Keeps what is written."""

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


def echo(exchange: Exchange) -> None:
    """Answer with what was asked."""
    exchange.respond(Response(exchange.body))


def repeat(call: StreamCall, message: bytes | None) -> None:
    """Answer each message of a stream at once, and end when the client does."""
    if message is None:
        call.end()
    else:
        call.send(message)


def failure(exchange: Exchange, error: BaseException) -> Response:
    """The response to an error."""
    if isinstance(error, ValueError):
        return response_of(Status.INTERNAL, str(error))
    assert isinstance(error, CallError | TimeoutError) or hasattr(error, "headers")
    return transport_failure(error)


class Service:
    """Three methods: `/echo`, `/wait`, whose exchanges are kept, and the stream `/repeat`.

    `observed` are what the observer was told: status, size and code of each call.
    """

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.cancelled: list[Exchange] = []
        self.observed: list[tuple[int, int, str]] = []

    def wait(self, exchange: Exchange) -> None:
        """Keep an exchange, and note when it is cancelled."""
        exchange.on_cancel = lambda: self.cancelled.append(exchange)
        self.exchanges.append(exchange)

    def fail(self, exchange: Exchange) -> None:
        """Raise."""
        raise ValueError("no luck")

    def observe(self, context: Any, status: int, size: int, code: str = "") -> None:
        """Note what is observed."""
        self.observed.append((status, size, code))

    def port(self, limits: Limits) -> Http2Port:
        """What a connection needs to answer these methods."""
        protocol = WireProtocol(
            prefix="/",
            http_failure=failure,
            grpc_failure=failure,
            methods={"/echo": echo, "/wait": self.wait, "/fail": self.fail},
            streams={"/repeat": repeat},
        )
        return self.port_of(protocol, limits=limits)

    def port_of(self, *protocols: WireProtocol, limits: Limits | None = None) -> Http2Port:
        """What a connection needs to answer protocols."""
        limits = limits or Limits(LIMIT)
        methods = Methods(protocols, limits, self.observe)
        return Http2Port(methods.accept, set(), limits.max_connections, NOT_HTTP2, limits.memory)


async def prepared() -> None:
    """Wait until the threads for large messages have nothing to do, and the loop has the rest."""
    loop, barrier = asyncio.get_running_loop(), threading.Barrier(BACKGROUND._max_workers)
    if BACKGROUND._threads:
        waits = [loop.run_in_executor(BACKGROUND, barrier.wait) for _ in range(barrier.parties)]
        await asyncio.gather(*waits)


@contextmanager
def looping() -> Iterator[None]:
    """A loop for every client's server."""
    with asyncio.Runner() as runner:
        Client.loop = runner.get_loop()
        yield


class Client:
    """A client, and the server that it talks to on a loop, see `looping`."""

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
        """Call a function of the server on the loop, and let the loop do what it then has to."""

        async def call() -> None:
            function()
            await prepared()
            while not (self.transport.reads or self.transport.is_closed):
                if self.server._is_write_paused:
                    break
                await asyncio.sleep(0)

        self.loop.run_until_complete(call())

    def receive(self, data: bytes) -> None:
        """Let the server receive bytes."""
        if not self.transport.is_closed:
            self.run(lambda: self.server.data_received(data))

    def exchange(self, pieces: int | None = None) -> list[Event]:
        """Exchange bytes in both directions until there are none; return all events so far."""
        while data := self.h2.data_to_send():
            size = pieces or len(data)
            for start in range(0, len(data), size):
                self.receive(data[start : start + size])
            self.take()
        return self.events

    def take(self) -> None:
        """Let the client read what the server has written."""
        answer, self.transport.written = bytes(self.transport.written), bytearray()
        self.events += self.h2.receive_data(answer)

    def raw(self, data: bytes) -> list[Event]:
        """Send bytes that `h2` would not send."""
        self.receive(data)
        self.take()
        return self.events

    def begin(self, *more: tuple[str, str], path: str = "/echo", end: bool = False) -> int:
        """Open a stream, and give its number."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(name, path if name == ":path" else value) for name, value in CALL]
        self.h2.send_headers(stream, [*fields, *more], end_stream=end)
        return stream

    def send(self, stream: int, data: bytes, *, ends: bool = True) -> None:
        """Send data, in frames as large as they may be."""
        for start in range(0, max(len(data), 1), 16_384):
            is_last = start + 16_384 >= len(data)
            self.h2.send_data(stream, data[start : start + 16_384], end_stream=ends and is_last)
            self.exchange()

    def call(self, message: bytes, *more: tuple[str, str], path: str = "/echo") -> int:
        """A whole call."""
        stream = self.begin(*more, path=path)
        self.send(stream, framed(message))
        return stream

    def is_answered(self) -> bool:
        """Whether a good call is answered."""
        return self.data(self.call(b"hello")) == framed(b"hello")

    def data(self, stream: int) -> bytes:
        """The data that came on a stream."""
        return b"".join(event.data for event in self.of(DataReceived) if event.stream_id == stream)

    def acknowledge(self) -> None:
        """Give back to the windows what was taken of them."""
        for event in self.of(DataReceived):
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                event.flow_controlled_length = 0
        self.exchange()

    def status(self, stream: int) -> Mapping[str, str]:
        """The fields that ended a call."""
        ends = (TrailersReceived, ResponseReceived)
        of_stream = [
            event for event in self.events if isinstance(event, ends) and event.stream_id == stream
        ]
        return dict(of_stream[-1].headers or [])

    def of(self, kind: type) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]
