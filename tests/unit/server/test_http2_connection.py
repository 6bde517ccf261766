"""HTTP/2 connections on asyncio: timeouts, shutdown and limits."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived, StreamReset
from h2.settings import SettingCodes
from h2_client import LIMIT, PREFACE, Client, Service, framed, frames_in, looping, raw
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from prepackaged.server.transport.exchange import Response
from prepackaged.server.transport.http2 import connection as http2_connection
from prepackaged.server.transport.http2.memory import (
    BLOCK_BYTES,
    FREE_STREAMS,
    STREAM_BYTES,
    STREAMS,
)
from prepackaged.server.transport.http2.port import Http2Port
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.memory import MemoryBudget

LAST_PING_ACK = raw(6, 1, 0, b"goodbye!")  # acknowledges the ping that follows a GOAWAY
GREETING = PREFACE + raw(4, 0, 0)


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """The event loop of all servers in this module."""
    with looping():
        yield


@pytest.fixture
def service() -> Service:
    """Methods that respond, wait or fail."""
    return Service()


@pytest.fixture
def port(service: Service) -> Http2Port:
    """A port that serves these methods."""
    return service.port(Limits(LIMIT))


@pytest.fixture
def client(port: Http2Port) -> Client:
    """A client of these methods."""
    return Client(port)


def error_of(client: Client) -> ErrorCodes:
    """Return the error code with which the server closed the connection."""
    (end,) = client.of(ConnectionTerminated)
    assert end.additional_data
    assert client.transport.is_closed
    return ErrorCodes(end.error_code)


@pytest.mark.parametrize(
    "data",
    [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"P",
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ],
)
def test_a_client_that_does_not_speak_http2_only_gets_an_http1_response(
    port: Http2Port, data: bytes
) -> None:
    """A client that does not speak HTTP/2 gets an HTTP/1.1 response and no binary frames."""
    client = Client(port, greets=False)

    client.receive(data)
    if not client.transport.is_closed:
        client.receive(b"OST / HTTP/1.1\r\n\r\n")

    text = bytes(client.transport.written)
    header, _, body = text.partition(b"\r\n\r\n")
    assert header.startswith(b"HTTP/1.1 400 ")
    assert body == b"this port speaks gRPC; REST is on another\n"
    assert b"Content-Length: %d\r\n" % len(body) in header + b"\r\n"
    assert header.endswith(b"\r\nConnection: close")
    assert client.transport.is_closed


def test_settings_are_the_first_frame(port: Http2Port) -> None:
    """The server's first frame is SETTINGS (RFC 9113, 3.4)."""
    client = Client(port, greets=False)
    client.receive(GREETING)

    first, *_ = frames_in(bytes(client.transport.written))
    assert isinstance(first, SettingsFrame)
    assert "ACK" not in first.flags


def test_a_connection_above_the_limit_is_closed_without_data(client: Client) -> None:
    """A connection above the limit is closed without any data; open connections go on."""
    full = Http2Port(client.server._port.accept, client.server._port.connections, 1, b"")
    newcomer = Client(full, greets=False)

    assert bytes(newcomer.transport.written) == b""
    assert newcomer.transport.is_closed
    assert client.is_answered()


def test_streams_without_memory_are_refused(service: Service) -> None:
    """Streams without memory left are refused with REFUSED_STREAM (RFC 9113, 8.7), so retryable."""
    budget = MemoryBudget(2 * STREAMS * STREAM_BYTES)
    client = Client(service.port(Limits(LIMIT, memory=budget)))
    waiting = [client.call(b"hello", path="/wait") for _ in range(FREE_STREAMS + STREAMS)]
    client.exchange()
    refused = client.call(b"hello", path="/wait")
    client.exchange()

    (reset,) = client.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (refused, ErrorCodes.REFUSED_STREAM)
    assert budget.used == STREAMS * STREAM_BYTES
    for exchange in service.exchanges:
        client.run(lambda exchange=exchange: exchange.respond(Response(b"answer")))
    client.take()
    assert [client.data(stream) for stream in waiting] == [framed(b"answer")] * len(waiting)
    assert client.is_answered()
    assert budget.used == 0


@pytest.mark.parametrize("path", ["/echo", "/repeat", "/unknown"])
def test_large_headers_take_memory_until_their_call_is_over(service: Service, path: str) -> None:
    """Large headers use the memory budget until their call ends, and are refused without memory."""
    budget = MemoryBudget(100_000)
    client = Client(service.port(Limits(LIMIT, memory=budget)))
    first, second = (client.begin(("x", "y" * 50_000), path=path) for _ in range(2))
    client.exchange()

    (reset,) = client.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (second, ErrorCodes.REFUSED_STREAM)
    assert 50_000 < budget.used < 51_000
    client.h2.end_stream(first)
    client.exchange()
    assert budget.used == 0
    assert client.is_answered()


def test_an_incomplete_header_block_takes_memory(service: Service) -> None:
    """An incomplete header block uses the memory budget; without memory the connection ends."""
    budget = MemoryBudget(2 * BLOCK_BYTES - 1)
    clients = [Client(service.port(Limits(LIMIT, memory=budget))) for _ in range(2)]
    for client in clients:
        client.raw(raw(1, 0, 1, b""))
    assert error_of(clients[1]) == ErrorCodes.ENHANCE_YOUR_CALM
    assert budget.used == BLOCK_BYTES
    clients[0].run(lambda: clients[0].server.connection_lost(None))
    assert budget.used == 0


def test_a_client_without_a_preface_is_disconnected(port: Http2Port, client: Client) -> None:
    """A connection without a preface is closed; others stay open."""
    silent = Client(port, greets=False)
    silent.receive(PREFACE[:10])

    silent.server.expect_preface()
    client.server.expect_preface()

    assert silent.transport.is_closed
    assert not client.transport.is_closed


def test_repeated_resets_end_the_connection(client: Client) -> None:
    """Repeatedly resetting streams ends the connection (rapid reset, CVE-2023-44487)."""
    while not client.of(ConnectionTerminated):
        stream = client.call(b"", path="/wait")
        client.h2.reset_stream(stream)
        client.exchange()

    assert error_of(client) == ErrorCodes.ENHANCE_YOUR_CALM
    assert stream == 2 * 1001 - 1


def test_resets_by_the_server_count_too(client: Client) -> None:
    """Making the server reset streams ends the connection as well (CVE-2025-8671)."""
    while not client.of(ConnectionTerminated):
        stream = client.call(b"", path="/wait")
        client.raw(raw(0, 1, stream))

    assert error_of(client) == ErrorCodes.ENHANCE_YOUR_CALM
    assert stream == 2 * 1001 - 1


def test_streams_beyond_the_maximum_are_refused(client: Client, service: Service) -> None:
    """Of 1,030 streams that a client opens at once, 1,024 are answered and the others refused."""
    client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1030
    client.h2.remote_settings.acknowledge()
    streams = [client.begin(path="/wait") for _ in range(1030)]
    for stream in streams:
        client.h2.send_data(stream, framed(b"hello"), end_stream=True)

    client.exchange()

    refused = {each.stream_id: each.error_code for each in client.of(StreamReset)}
    assert refused == dict.fromkeys(streams[1024:], ErrorCodes.REFUSED_STREAM)
    assert len(service.exchanges) == 1024
    for exchange in service.exchanges:
        client.run(lambda exchange=exchange: exchange.respond(Response(b"answer")))
        client.take()
    assert all(client.data(stream) == framed(b"answer") for stream in streams[:1024])
    assert client.is_answered()


def test_a_ping_is_answered(client: Client) -> None:
    """A ping is acknowledged."""
    client.h2.ping(b"12345678")
    client.exchange()

    (pong,) = client.of(PingAckReceived)
    assert pong.ping_data == b"12345678"


FLOODS = {
    "pings": raw(6, 0, 0, bytes(8)),
    "acknowledgements of pings": raw(6, 1, 0, bytes(8)),
    "settings": raw(4, 0, 0),
    "settings of windows": raw(4, 0, 0, b"\0\4\0\0\xff\xff"),
    "acknowledgements of settings": raw(4, 1, 0),
    "empty data": raw(0, 0, 1),
    "data of one byte": raw(0, 0, 1, b"\0"),
    "padding": raw(0, 8, 1, b"\x0a" + bytes(10)),
    "as much padding as there may be": raw(0, 8, 1, b"\xff" + bytes(255)),
    "data of one byte with padding": raw(0, 8, 1, b"\xff" + bytes(1 + 255)),
    "priorities": raw(2, 0, 1, bytes(5)),
    "window updates": raw(8, 0, 0, b"\0\0\0\1"),
    "window updates of a stream": raw(8, 0, 1, b"\0\0\0\1"),
    "frames of an extension": raw(99, 0, 0),
    "resets of a stream that is over": raw(3, 0, 3, bytes(4)),
    "frames of a client that goes away": raw(7, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_cheap_frames_have_a_budget(
    port: Http2Port, client: Client, service: Service, flood: str
) -> None:
    """A flood of cheap frames ends the connection; other connections are not affected."""
    client.send(client.begin(path="/repeat"), framed(bytes(30_000))[:9], ends=False)
    client.h2.reset_stream(client.begin(path="/wait"))
    client.exchange()

    for _ in range(100):
        client.raw(FLOODS[flood] * 100)
        if client.of(ConnectionTerminated):
            break

    assert error_of(client) == ErrorCodes.ENHANCE_YOUR_CALM
    assert Client(port).is_answered()


def test_each_call_adds_to_the_budget_of_cheap_frames(client: Client) -> None:
    """Each call adds to the budget, so pings and window updates with each call are allowed."""
    for _ in range(700):
        client.call(b"hello")
        for _ in range(6):
            client.h2.ping(b"12345678")
            client.h2.increment_flow_control_window(1)
        client.exchange()
        client.events.clear()

    assert client.is_answered()


def test_the_continuations_of_a_header_block_are_limited(client: Client) -> None:
    """A header block has at most eight CONTINUATION frames (CVE-2024-27316)."""
    client.raw(raw(1, 0, 1) + raw(9, 0, 1) * 9)

    assert error_of(client) == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_header_block_that_takes_too_long_ends_the_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incomplete header block ends the connection after a timeout, which the test sets to 0."""
    stream = client.begin(("x-long", "a" * 40_000))
    data = client.h2.data_to_send()
    client.receive(data[:20_000])
    block = client.server.core.open_block
    client.receive(data[20_000:])
    client.server._expect_headers(block)
    client.send(stream, framed(b"hello"))
    assert client.data(stream) == framed(b"hello")

    monkeypatch.setattr("prepackaged.server.transport.http2.connection.HEADER_SECONDS", 0)
    client.receive(raw(1, 0, stream + 2))
    wait_until_closed(client)

    client.take()
    assert error_of(client) == ErrorCodes.ENHANCE_YOUR_CALM


def wait_until_closed(client: Client) -> None:
    """Run the loop until the server has closed the connection."""

    async def wait() -> None:
        while not client.transport.is_closed:
            await asyncio.sleep(0)

    client.loop.run_until_complete(wait())


def test_a_client_that_reads_nothing_for_long_is_disconnected(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is closed if its client opens no window within a timeout, here 0."""
    monkeypatch.setattr("prepackaged.server.transport.unread.READER_SECONDS", 0)
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.exchange()

    client.call(b"hello")
    wait_until_closed(client)

    assert client.transport.is_closed


def test_a_client_that_reads_slowly_stays_connected(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads slowly is not disconnected."""
    monkeypatch.setattr("prepackaged.server.transport.unread.READER_SECONDS", 0)
    client.transport.buffered = 100_000

    async def drain() -> None:
        client.server.pause_writing()
        while client.transport.buffered:
            client.transport.buffered -= 10_000
            await asyncio.sleep(0)
        client.server.resume_writing()
        await asyncio.sleep(0)

    client.loop.run_until_complete(drain())

    assert client.is_answered()


def test_a_client_that_empties_the_kernels_buffer_stays_connected(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own buffer may not change for minutes while the kernel's gets empty."""
    monkeypatch.setattr("prepackaged.server.transport.unread.READER_SECONDS", 0)
    kept = iter(range(1000, 0, -1))
    monkeypatch.setattr(http2_connection, "kept_by_kernel", lambda _: next(kept, 0))
    client.transport.buffered = 100_000

    async def drain() -> int:
        client.server.pause_writing()
        turns = 0
        while not client.transport.is_closed:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert client.loop.run_until_complete(drain()) >= 500


def test_a_client_that_has_not_received_the_ping_yet_is_not_silent(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow client answers a ping when it has taken what was sent before it."""
    kept = iter([3000, 2000, 1000])
    monkeypatch.setattr(http2_connection, "kept_by_kernel", lambda _: next(kept, 1000))
    for _ in range(4):
        client.run(client.server._look)
        assert not client.transport.is_closed

    client.run(client.server._look)  # the client has taken nothing since the look before

    assert client.transport.is_closed


def test_the_server_stops_reading_from_a_client_that_does_not_read(client: Client) -> None:
    """The server stops reading from a client that does not read its responses."""
    client.run(client.server.pause_writing)
    assert not client.transport.reads

    client.run(client.server.resume_writing)
    assert client.transport.reads


def test_a_client_whose_answers_the_server_does_not_read_is_not_silent(client: Client) -> None:
    """A client whose answers to pings the server does not read stays connected, others do not."""
    client.run(client.server.pause_writing)
    for _ in range(3):
        client.run(client.server._look)
    client.run(client.server.resume_writing)
    client.run(client.server._look)
    assert not client.transport.is_closed

    client.run(client.server._look)  # the ping of the look before has no answer

    assert client.transport.is_closed


def test_other_connections_get_a_turn_while_one_sends_much(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection with much input does not block others; later its input is all processed.

    Here 500 header blocks arrive and then 500 messages, and a turn lasts for one of them.
    """
    monkeypatch.setattr("prepackaged.server.transport.http2.connection.TURN_SECONDS", -1)
    streams = [client.begin() for _ in range(500)]
    for stream in streams:
        client.h2.send_data(stream, framed(b"hello"), end_stream=True)
    data = client.h2.data_to_send()

    async def receive() -> list[int]:
        counts = []
        client.server.data_received(data)
        while len(service.observed) < 500:
            counts.append(len(service.observed))
            await asyncio.sleep(0)
        return counts

    answered = [max(0, turn - 500) for turn in range(1, 1000)]
    assert client.loop.run_until_complete(receive()) == answered
    client.take()
    assert all(client.data(stream) == framed(b"hello") for stream in streams)
    assert client.transport.reads


def test_other_connections_get_a_turn_between_refused_header_blocks(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header block without an event counts as well: large ones take milliseconds."""
    monkeypatch.setattr("prepackaged.server.transport.http2.connection.TURN_SECONDS", -1)
    streams = range(1, 21, 2)
    malformed = b"".join(raw(1, 4, stream, b"\x83") for stream in streams)

    async def receive() -> int:
        client.server.data_received(malformed)
        for turns in itertools.count(1):
            if not client.server.core.has_more:
                return turns
            await asyncio.sleep(0)
        raise AssertionError

    assert client.loop.run_until_complete(receive()) == len(streams)
    resets = [frame for frame in frames_in(bytes(client.transport.written)) if frame.stream_id]
    assert [(type(each), each.stream_id) for each in resets] == [
        (RstStreamFrame, stream) for stream in streams
    ]
    client.transport.written.clear()
    assert service.observed == []


def test_open_calls_are_answered_during_shutdown(client: Client, service: Service) -> None:
    """During shutdown open calls are answered, including those sent before the GOAWAY arrived."""
    client.call(b"first", path="/wait")
    second = client.begin(path="/wait")
    client.h2.send_data(second, framed(b"second"), end_stream=True)
    on_its_way = client.h2.data_to_send()

    client.run(client.server.shut_down)
    client.receive(on_its_way)
    client.receive(LAST_PING_ACK)
    for exchange in service.exchanges:
        assert not client.transport.is_closed
        client.run(lambda exchange=exchange: exchange.respond(Response(b"answer")))

    frames = frames_in(bytes(client.transport.written))
    assert [each.last_stream_id for each in frames if isinstance(each, GoAwayFrame)] == [
        2**31 - 1,
        second,
    ]
    assert [each.stream_id for each in frames if isinstance(each, DataFrame)] == [1, second]
    assert client.transport.is_closed


def test_streams_after_the_last_goaway_are_refused_as_retryable(
    client: Client, service: Service
) -> None:
    """Streams after the last GOAWAY are refused, so that the client can retry them elsewhere."""
    client.call(b"first", path="/wait")
    for _ in range(28):
        client.h2.send_data(client.begin(path="/wait"), framed(b"late"), end_stream=True)
    too_late = client.h2.data_to_send()

    client.run(client.server.shut_down)
    client.receive(LAST_PING_ACK)
    client.receive(too_late)
    client.run(lambda: service.exchanges[0].respond(Response(b"answer")))

    frames = frames_in(bytes(client.transport.written))
    resets = [each for each in frames if isinstance(each, RstStreamFrame)]
    assert [each.stream_id for each in resets] == list(range(3, 59, 2))
    assert {each.error_code for each in resets} == {ErrorCodes.REFUSED_STREAM}
    assert [each.data for each in frames if isinstance(each, DataFrame)] == [framed(b"answer")]
    assert [each.error_code for each in frames if isinstance(each, GoAwayFrame)] == [0, 0]
    assert client.transport.is_closed


def test_shutdown_ends_streams_and_idle_connections(client: Client) -> None:
    """Shutdown ends open streams and closes idle connections."""
    stream = client.begin(path="/repeat")
    client.exchange()

    client.run(client.server.shut_down)
    client.receive(LAST_PING_ACK)

    *_, last = (
        each
        for each in frames_in(bytes(client.transport.written))
        if isinstance(each, HeadersFrame)
    )
    assert last.stream_id == stream
    assert "END_STREAM" in last.flags
    assert client.transport.is_closed


def test_a_client_that_ignores_the_goaway_is_disconnected(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not acknowledge the GOAWAY is disconnected after a timeout, here 0."""
    monkeypatch.setattr("prepackaged.server.transport.http2.connection.END_SECONDS", 0)

    client.run(client.server.shut_down)

    wait_until_closed(client)


def test_a_closed_connection_is_removed_from_its_port(client: Client, port: Http2Port) -> None:
    """A closed connection is removed from the connections of its port."""
    assert port.connections == {client.server}

    client.run(lambda: client.server.connection_lost(None))

    assert port.connections == set()


def test_a_response_after_the_connection_is_lost_is_dropped(
    client: Client, service: Service
) -> None:
    """A response after the connection is lost is dropped."""
    client.call(b"hello", path="/wait")
    client.transport.close()
    client.run(lambda: client.server.connection_lost(None))

    service.exchanges[0].respond(Response(b"late"))

    assert not client.transport.written


def test_a_response_after_a_connection_error_is_dropped(client: Client, service: Service) -> None:
    """A response after a connection error is dropped, since writing it would log a warning."""
    client.call(b"hello", path="/wait")
    client.raw(raw(6, 0, 0, bytes(7)))
    assert error_of(client) == ErrorCodes.FRAME_SIZE_ERROR

    client.run(lambda: service.exchanges[0].respond(Response(b"late")))

    assert not client.transport.written
