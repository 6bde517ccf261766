"""The gRPC server's HTTP/2, seen by `h2`, a client that holds its peer to every rule."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame
from hypothesis import given
from hypothesis import strategies as st

from prepackaged.server.transport.grpc.calls import Call, Method
from prepackaged.server.transport.http2.connection import Connection, Limits

LIMIT = 200_000  # bytes of a message
CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/echo"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_closed = False
        self.reads = True

    def write(self, data: bytes) -> None:
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


class Client:
    """A client and the server's side of its connection, without a network between them."""

    def __init__(self, methods: dict[bytes, Method], max_message: int | None = LIMIT) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.open: set[Connection] = set()
        self.server = Connection(methods, self.open, Limits(max_message))
        self.transport = Transport()
        self.server.connection_made(self.transport)
        self.h2.initiate_connection()
        self.events: list[Event] = []
        self.exchange()

    def exchange(self, pieces: int | None = None) -> list[Event]:
        """Carry bytes both ways until there are none; give all that was told so far."""
        while data := self.h2.data_to_send():
            size = pieces or len(data)
            for start in range(0, len(data), size):
                self.server.data_received(data[start : start + size])
            answer, self.transport.written = bytes(self.transport.written), bytearray()
            self.events += self.h2.receive_data(answer)
        return self.events

    def raw(self, data: bytes) -> list[Event]:
        """Send bytes that `h2` would not send."""
        self.server.data_received(data)
        answer, self.transport.written = bytes(self.transport.written), bytearray()
        self.events += self.h2.receive_data(answer)
        return self.events

    def begin(self, *more: tuple[str, str], path: str = "/echo") -> int:
        """Open a stream, and give its number."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(name, path if name == ":path" else value) for name, value in CALL]
        self.h2.send_headers(stream, [*fields, *more])
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

    def answer(self, stream: int) -> bytes:
        """The data that came on a stream, given back to its windows."""
        data = b""
        for event in self.events:
            if isinstance(event, DataReceived) and event.stream_id == stream:
                data += event.data
        return data

    def acknowledge(self) -> None:
        """Give back to the windows what was taken of them."""
        for event in [event for event in self.events if isinstance(event, DataReceived)]:
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                event.flow_controlled_length = 0
        self.exchange()

    def status(self, stream: int) -> dict[str, str]:
        """The fields that ended a call."""
        ends = (TrailersReceived, ResponseReceived)
        of_stream = [
            event for event in self.events if isinstance(event, ends) and event.stream_id == stream
        ]
        return dict(of_stream[-1].headers or [])

    def of(self, kind: type) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


def framed(message: bytes, flag: int = 0) -> bytes:
    """A message as gRPC frames it."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def echo(call: Call, message: bytes | None) -> None:
    """Answer with what was asked."""
    call.answer(message or b"")


class Waiting:
    """A method that keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled: list[Call] = []

    def __call__(self, call: Call, message: bytes | None) -> None:
        call.cancel = lambda: self.cancelled.append(call)
        self.calls.append(call)


def tell(call: Call, message: bytes | None) -> None:
    """Answer each message of a stream at once, and end when the client does."""
    if message is None:
        call.end()
    else:
        call.send(message)


@pytest.fixture
def waiting() -> Waiting:
    """A method whose calls wait to be answered."""
    return Waiting()


@pytest.fixture
def client(waiting: Waiting) -> Client:
    """A client of three methods."""
    return Client(
        {
            b"/echo": Method(echo),
            b"/wait": Method(waiting),
            b"/tell": Method(tell, is_stream=True),
        }
    )


def test_a_call_is_answered_with_headers_message_and_trailers(client: Client) -> None:
    """The three parts of an answer, as gRPC over HTTP/2 has them."""
    stream = client.call(b"hello")

    (begin,) = client.of(ResponseReceived)
    assert dict(begin.headers) == {":status": "200", "content-type": "application/grpc"}
    assert client.answer(stream) == framed(b"hello")
    assert client.status(stream) == {"grpc-status": "0"}
    assert client.of(StreamEnded)
    assert not client.of(StreamReset)


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_frames_may_come_in_pieces(client: Client, pieces: int) -> None:
    """A connection delivers bytes as it likes."""
    first, second = client.begin(), client.begin()
    client.h2.send_data(first, framed(b"first"), end_stream=True)
    client.h2.send_data(second, framed(b"second"), end_stream=True)

    client.exchange(pieces)

    assert client.answer(first) == framed(b"first")
    assert client.answer(second) == framed(b"second")


FIELDS = st.lists(st.tuples(st.sampled_from(["x-a", "x-b", "x-c"]), st.sampled_from("12345")))


@given(st.lists(FIELDS, max_size=8))
def test_headers_are_read_the_same_when_they_are_repeated(calls: list[Any]) -> None:
    """Blocks are remembered only as long as they mean the same: new fields change the table."""
    seen: list[Any] = []
    client = Client({b"/echo": Method(lambda call, _: seen.append(call.head.fields))})

    for fields in calls * 3:
        client.call(b"", *fields)
        expected = [(name.encode(), value.encode()) for name, value in [*CALL, *fields]]
        expected[2] = (b":path", b"/echo")
        assert seen[-1] == expected


def test_a_large_message_passes_in_parts(client: Client) -> None:
    """Both ways, as the windows allow."""
    message = bytes(range(256)) * 700

    stream = client.call(message)
    while not client.of(StreamEnded):
        before = len(client.answer(stream))
        client.acknowledge()
        assert len(client.answer(stream)) > before or client.of(StreamEnded)

    assert client.answer(stream) == framed(message)


def test_an_answer_waits_for_the_client_s_window(client: Client) -> None:
    """Not a byte more than the client takes: `h2` would refuse it."""
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    client.exchange()

    stream = client.call(b"a message that is longer than ten bytes")

    assert len(client.answer(stream)) == 10
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 20})
    client.exchange()
    assert len(client.answer(stream)) == 20
    client.h2.increment_flow_control_window(1000, stream)
    client.exchange()
    assert client.answer(stream) == framed(b"a message that is longer than ten bytes")
    assert client.status(stream) == {"grpc-status": "0"}


def test_a_window_may_become_smaller_than_nothing(client: Client) -> None:
    """RFC 9113, 6.9.2: then the server waits until it has grown again."""
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    client.exchange()
    stream = client.call(b"0123456789")

    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 3})
    client.exchange()
    client.h2.increment_flow_control_window(2, stream)
    client.exchange()

    assert len(client.answer(stream)) == 10
    client.h2.increment_flow_control_window(100, stream)
    client.exchange()
    assert client.answer(stream) == framed(b"0123456789")


def test_headers_may_be_continued(client: Client) -> None:
    """Headers that are larger than a frame come in several."""
    stream = client.begin(("x-long", "a" * 40_000))

    client.send(stream, framed(b"hello"))

    assert client.answer(stream) == framed(b"hello")


@pytest.mark.parametrize(
    ("encoding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_message_is_read(
    client: Client, encoding: str, squeeze: Callable[[bytes], bytes]
) -> None:
    """Clients that compress are answered without."""
    stream = client.begin(("grpc-encoding", encoding))
    client.send(stream, framed(squeeze(b"hello " * 100), flag=1))

    assert client.answer(stream) == framed(b"hello " * 100)


@pytest.mark.parametrize(
    ("encoding", "data", "code", "details"),
    [
        ("gzip", framed(gzip.compress(bytes(LIMIT + 1)), 1), "8", f"{LIMIT} are allowed"),
        ("gzip", framed(gzip.compress(b"hello")[:-3], 1), "3", "not whole"),
        ("gzip", framed(b"hello", 1), "3", "header"),
        ("snappy", framed(b"hello", 1), "12", "expected gzip or deflate, got snappy"),
        ("identity", framed(b"hello")[:-1], "3", "not whole"),
        ("identity", b"", "3", "expected one message, got 0"),
        ("identity", framed(b"a") + framed(b"b"), "3", "expected one message, got 2"),
    ],
)
def test_what_is_no_message_is_refused(
    client: Client, encoding: str, data: bytes, code: str, details: str
) -> None:
    """With the code that the contract of gRPC has for it, and a reason."""
    stream = client.begin(("grpc-encoding", encoding))
    client.send(stream, data)

    assert client.status(stream)["grpc-status"] == code
    assert details in client.status(stream)["grpc-message"]


def test_a_message_that_will_be_too_large_is_refused_before_it_comes(client: Client) -> None:
    """Its length says so; the client is told to stop sending."""
    stream = client.begin()
    client.send(stream, b"\0" + (LIMIT + 1).to_bytes(4, "big"), ends=False)

    assert client.status(stream)["grpc-status"] == "8"
    (reset,) = client.of(StreamReset)
    assert reset.error_code == ErrorCodes.NO_ERROR


def test_an_unknown_path_is_unimplemented(client: Client) -> None:
    """As everywhere in gRPC."""
    stream = client.call(b"hello", path="/nobody")

    assert client.status(stream)["grpc-status"] == "12"
    assert "/nobody" in client.status(stream)["grpc-message"]


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [(":method", "GET", "405"), ("content-type", "application/json", "415")],
)
def test_what_is_no_call_of_grpc_gets_a_status_of_http(
    client: Client, name: str, value: str, status: str
) -> None:
    """A browser, or a client of REST that has the wrong port."""
    fields = [(each, value if each == name else was) for each, was in CALL]
    client.h2.send_headers(1, fields, end_stream=True)
    client.exchange()

    assert client.status(1)[":status"] == status


def test_http_1_is_told_what_the_port_is_for(client: Client) -> None:
    """Whoever sends JSON to this port."""
    fresh = Client({})
    server = Connection({}, set())
    server.connection_made(fresh.transport)
    fresh.transport.written.clear()

    server.data_received(b"POST /predict HTTP/1.1\r\n\r\n")

    assert fresh.transport.written.startswith(b"HTTP/1.1 400 ")
    assert b"this port speaks gRPC" in fresh.transport.written
    assert fresh.transport.is_closed


def test_a_connection_too_many_is_sent_away(client: Client) -> None:
    """Those that are open go on."""
    transport, limits = Transport(), Limits(max_connections=1)

    Connection({}, client.open, limits).connection_made(transport)

    *_, goodbye = frames_in(bytes(transport.written))
    assert isinstance(goodbye, GoAwayFrame)
    assert goodbye.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert transport.is_closed
    assert client.answer(client.call(b"hello")) == framed(b"hello")


def test_a_client_that_never_greets_is_not_waited_for(client: Client) -> None:
    """It takes the place of one that speaks."""
    silent, transport = Connection({}, set()), Transport()
    silent.connection_made(transport)
    silent.data_received(PREFACE[:10])

    silent.expect_greeting()
    client.server.expect_greeting()

    assert transport.is_closed
    assert not client.transport.is_closed


def test_a_stream_s_messages_are_answered_one_by_one(client: Client) -> None:
    """Reflection and the health's watch are such streams."""
    stream = client.begin(path="/tell")

    client.send(stream, framed(b"one") + framed(b"two")[:3], ends=False)
    assert client.answer(stream) == framed(b"one")
    client.send(stream, framed(b"two")[3:])

    assert client.answer(stream) == framed(b"one") + framed(b"two")
    assert client.status(stream) == {"grpc-status": "0"}


def test_a_client_that_gives_up_cancels_its_call(client: Client, waiting: Waiting) -> None:
    """Its place is free, and an answer that comes later goes nowhere."""
    stream = client.call(b"hello", path="/wait")

    client.h2.reset_stream(stream, ErrorCodes.CANCEL)
    client.exchange()

    assert waiting.cancelled == waiting.calls
    waiting.calls[0].answer(b"late")
    assert not client.transport.written


def test_a_lost_connection_cancels_its_calls(client: Client, waiting: Waiting) -> None:
    """All of them."""
    client.call(b"one", path="/wait")
    client.call(b"two", path="/wait")

    client.transport.close()
    client.server.connection_lost(None)

    assert waiting.cancelled == waiting.calls
    assert not client.open


def test_a_client_that_gives_up_again_and_again_is_sent_away(client: Client) -> None:
    """Opening and resetting streams costs the client nothing and the server much."""
    for _ in range(1001):
        stream = client.begin(path="/wait")
        client.send(stream, framed(b""))
        client.h2.reset_stream(stream)
        client.exchange()

    (end,) = client.of(ConnectionTerminated)
    assert end.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert client.transport.is_closed


def test_there_is_a_most_of_calls_at_a_time(client: Client, waiting: Waiting) -> None:
    """More are refused, so that the client may send them elsewhere."""
    server_allows = client.h2.remote_settings.max_concurrent_streams
    client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = server_allows + 1
    client.h2.remote_settings.acknowledge()

    streams = [client.call(b"", path="/wait") for _ in range(server_allows + 1)]

    (reset,) = client.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (streams[-1], ErrorCodes.REFUSED_STREAM)
    waiting.calls[0].answer(b"done")
    assert client.transport.written


def test_a_ping_is_answered(client: Client) -> None:
    """Clients measure their way with pings."""
    client.h2.ping(b"12345678")
    client.exchange()

    (pong,) = client.of(PingAckReceived)
    assert pong.ping_data == b"12345678"


def test_a_client_that_does_not_read_is_not_read(client: Client) -> None:
    """Else its pings alone would fill the memory."""
    client.server.pause_writing()
    assert not client.transport.reads

    client.server.resume_writing()
    assert client.transport.reads


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """A frame's nine first bytes (RFC 9113, 4.1)."""
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (head(16_385, 0, 0, 1), ErrorCodes.FRAME_SIZE_ERROR),
        (head(0, 0, 0, 0), ErrorCodes.PROTOCOL_ERROR),
        (head(0, 0, 0, 99), ErrorCodes.PROTOCOL_ERROR),
        (head(1, 0, 8, 1) + b"\1", ErrorCodes.PROTOCOL_ERROR),
        (head(5, 0, 1, 1) + bytes(5) + head(0, 0, 1, 1), ErrorCodes.PROTOCOL_ERROR),
        (head(0, 1, 4, 2), ErrorCodes.PROTOCOL_ERROR),
        (head(0, 1, 0, 3) + head(0, 0, 0, 1), ErrorCodes.PROTOCOL_ERROR),
        (head(0, 9, 4, 3), ErrorCodes.PROTOCOL_ERROR),
        (head(2, 1, 4, 3) + b"\xff\xff", ErrorCodes.COMPRESSION_ERROR),
        (head(3, 3, 0, 1) + bytes(3), ErrorCodes.FRAME_SIZE_ERROR),
        (head(4, 3, 0, 99) + bytes(4), ErrorCodes.PROTOCOL_ERROR),
        (head(5, 4, 0, 0) + bytes(5), ErrorCodes.FRAME_SIZE_ERROR),
        (head(6, 4, 0, 0) + b"\0\4\x80\0\0\0", ErrorCodes.FLOW_CONTROL_ERROR),
        (head(7, 6, 0, 0) + bytes(7), ErrorCodes.FRAME_SIZE_ERROR),
        (head(4, 8, 0, 0) + bytes(4), ErrorCodes.PROTOCOL_ERROR),
        (head(4, 8, 0, 0) + b"\x7f\xff\xff\xff", ErrorCodes.FLOW_CONTROL_ERROR),
        (head(4, 8, 0, 1) + b"\x7f\xff\xff\xff", ErrorCodes.FLOW_CONTROL_ERROR),
        (
            head(16_384, 1, 0, 3) + bytes(16_384) + (head(16_384, 9, 0, 3) + bytes(16_384)) * 4,
            ErrorCodes.ENHANCE_YOUR_CALM,
        ),
    ],
)
def test_a_broken_rule_ends_the_connection_and_says_which(
    client: Client, data: bytes, code: ErrorCodes
) -> None:
    """With the codes of RFC 9113; calls that wait are cancelled with the connection."""
    client.begin(path="/wait")
    client.exchange()

    client.raw(data)

    (end,) = client.of(ConnectionTerminated)
    assert end.error_code == code
    assert end.additional_data
    assert client.transport.is_closed


@given(st.binary(max_size=200))
def test_no_bytes_break_the_server(data: bytes) -> None:
    """Whatever comes, the connection goes on or is closed in order."""
    client = Client({b"/echo": Method(echo)})

    client.server.data_received(data)

    assert not client.transport.is_closed or b"\x07" in client.transport.written


def test_frames_of_extensions_are_ignored(client: Client) -> None:
    """RFC 9113, 5.5: and priorities are, as they have no meaning here."""
    client.raw(head(3, 0xBE, 0xFF, 1) + b"abc" + head(5, 2, 0, 1) + bytes(5))

    stream = client.call(b"hello")

    assert client.answer(stream) == framed(b"hello")


@pytest.fixture
def in_loop() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Runs a function inside an event loop, which some calls need for their timers."""

    def run(function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run(call())

    return run


def test_a_deadline_ends_a_call(in_loop: Any, client: Client, waiting: Waiting) -> None:
    """The client's own: what it waits for no longer need not be done."""

    async def wait() -> None:
        client.call(b"hello", ("grpc-timeout", "1m"), path="/wait")
        while not waiting.cancelled:
            await asyncio.sleep(0.001)
        client.raw(b"")

    in_loop(wait)

    assert client.status(1)["grpc-status"] == "4"


def frames_in(data: bytes) -> list[Any]:
    """The frames that were written: `h2` takes none after a goodbye, though RFC 9113 says so."""
    frames = []
    while data:
        frame, size = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + size]))
        frames.append(frame)
        data = data[9 + size :]
    return frames


def test_the_end_lets_open_calls_be_answered(
    in_loop: Any, client: Client, waiting: Waiting
) -> None:
    """A first goodbye names no last stream: what is on its way meanwhile is taken as well."""
    client.call(b"first", path="/wait")
    second = client.begin(path="/wait")
    client.h2.send_data(second, framed(b"second"), end_stream=True)
    on_its_way = client.h2.data_to_send()

    in_loop(client.server.finish)
    client.server.data_received(on_its_way)
    client.server.data_received(head(8, 6, 1, 0) + b"goodbye!")
    for call in waiting.calls:
        assert not client.transport.is_closed
        call.answer(b"answer")

    frames = frames_in(bytes(client.transport.written))
    assert [each.last_stream_id for each in frames if isinstance(each, GoAwayFrame)] == [
        2**31 - 1,
        second,
    ]
    assert [each.stream_id for each in frames if isinstance(each, DataFrame)] == [1, second]
    assert client.transport.is_closed


def test_what_comes_after_the_last_goodbye_is_refused(
    in_loop: Any, client: Client, waiting: Waiting
) -> None:
    """So that the client knows that it may send it elsewhere."""
    client.call(b"first", path="/wait")
    client.begin(path="/wait")
    too_late = client.h2.data_to_send()

    in_loop(client.server.finish)
    client.server.data_received(head(8, 6, 1, 0) + b"goodbye!")
    client.server.data_received(too_late)

    (reset,) = (
        each
        for each in frames_in(bytes(client.transport.written))
        if isinstance(each, RstStreamFrame)
    )
    assert (reset.stream_id, reset.error_code) == (3, ErrorCodes.REFUSED_STREAM)


def test_the_end_ends_streams_and_idle_connections(in_loop: Any, client: Client) -> None:
    """Watches would last for ever."""
    stream = client.begin(path="/tell")
    client.exchange()

    in_loop(client.server.finish)
    client.server.data_received(head(8, 6, 1, 0) + b"goodbye!")

    *_, last = (
        each
        for each in frames_in(bytes(client.transport.written))
        if isinstance(each, HeadersFrame)
    )
    assert last.stream_id == stream
    assert "END_STREAM" in last.flags
    assert client.transport.is_closed


def test_a_client_that_does_not_answer_the_goodbye_is_not_waited_for(
    client: Client, in_loop: Any
) -> None:
    """Its connection is closed a second later."""

    async def finish() -> None:
        client.server.finish()
        while not client.transport.is_closed:
            await asyncio.sleep(0.01)

    in_loop(finish)
