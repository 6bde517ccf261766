"""HTTP/1 connections on asyncio: other clients get their turn while one sends much."""

import asyncio

import pytest
from h2_client import Service, Transport, echo, failure
from rawhttp import PREDICT, chunked, get

from prepackaged.server.transport import unread
from prepackaged.server.transport.http1 import connection as http1
from prepackaged.server.transport.http1.connection import HttpConnection
from prepackaged.server.transport.http1.port import HttpPort
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import Router, WireProtocol

ANSWERED = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def service() -> Service:
    """An observer of requests."""
    return Service()


@pytest.fixture
def port(service: Service) -> HttpPort:
    """A port that answers with the body of the request."""
    routes = {PREDICT: {"POST": echo}, "/": {"GET": echo}}
    protocol = WireProtocol("/", http_failure=failure, grpc_failure=failure, routes=routes)
    return HttpPort(Router([protocol]), Limits(), service.observe)


async def turns(port: HttpPort, transport: Transport, data: bytes, answers: int) -> list[int]:
    """How many answers there are after each iteration of the event loop, until there are all."""
    connection = HttpConnection(port)
    connection.connection_made(transport)
    connection.data_received(data)
    counts = [transport.written.count(ANSWERED)]
    while counts[-1] < answers:
        await asyncio.sleep(0)
        counts.append(transport.written.count(ANSWERED))
    connection.connection_lost(None)
    return counts


def test_other_clients_get_a_turn_between_pipelined_requests(
    port: HttpPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipelined requests are answered over many iterations; here a turn is over after one."""
    monkeypatch.setattr(http1, "TURN_SECONDS", -1)
    transport = Transport()
    counts = asyncio.run(turns(port, transport, get("/") * 100, 100))

    assert sorted(set(counts)) == list(range(1, 101))
    assert transport.reads


def test_other_clients_get_a_turn_between_tiny_chunks(port: HttpPort) -> None:
    """A body in a million chunks of one byte is read over many iterations of the event loop."""
    transport = Transport()
    body = chunked(*[b"x"] * 1_000_000)
    counts = asyncio.run(turns(port, transport, body, 1))

    assert len(counts) > 3
    assert transport.written.endswith(b"x" * 1000)
    assert transport.reads


def test_a_slow_client_can_read_the_end_of_the_last_response(
    port: HttpPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that closes waits as long as its client takes some of what is sent."""
    monkeypatch.setattr(unread, "READER_SECONDS", 0)
    kept = iter(range(100, 0, -1))
    monkeypatch.setattr(http1, "kept_by_kernel", lambda _: next(kept, 0))
    transport = Slow()

    async def scenario() -> int:
        connection = HttpConnection(port)
        connection.connection_made(transport)
        connection.data_received(get("/", "Connection: close"))
        turns = 0
        while not transport.is_aborted:
            await asyncio.sleep(0)
            turns += 1
        connection.connection_lost(None)
        return turns

    assert asyncio.run(scenario()) >= 50
    assert ANSWERED in transport.written


class Slow(Transport):
    """A transport whose last bytes the kernel does not take yet."""

    is_aborted = False

    def __init__(self) -> None:
        super().__init__()
        self.buffered = 1000

    def abort(self) -> None:  # type: ignore[override]
        """Drop these bytes."""
        self.is_aborted = True
