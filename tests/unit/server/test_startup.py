"""The end of what answers on the ports while the model loads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from serving import free_ports
from waiting import SECONDS

from prepackaged.server.runtime import startup
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.startup import EarlyServer
from prepackaged.server.runtime.workers import Supervisor
from prepackaged.server.transport.http1 import port as http_port
from prepackaged.server.transport.sockets import listen

HEAD = (
    b"POST /v2/models/model/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
    b"Expect: 100-continue\r\n\r\n"
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait an hour for the rest of a request, as if its sender sent a little now and then."""
    monkeypatch.setattr(http_port, "SHUTDOWN_SENDER_SECONDS", 3600)


def config(workers: int = 1) -> Config:
    """A configuration with free ports."""
    http, grpc, metrics = free_ports(3)
    return Config("M", {}, http_port=http, grpc_port=grpc, metrics_port=metrics, workers=workers)


@asynccontextmanager
async def slow_sender(port: int) -> AsyncIterator[asyncio.StreamReader]:
    """A client of whose request only the head has arrived."""
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(HEAD)
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()


def test_a_slow_sender_does_not_delay_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client with half a request is disconnected, after a timeout that the test sets to 0."""
    monkeypatch.setattr(startup, "REST_STOP_SECONDS", 0)

    async def stop() -> None:
        early = EarlyServer(about := config())
        await early.start()
        async with slow_sender(about.http_port) as reader, asyncio.timeout(SECONDS):
            await early.stop()
            with suppress(ConnectionError):
                assert await reader.read() == b""
        early.close()

    asyncio.run(stop())


async def answer(port: int) -> bytes:
    """What a new client reads first."""
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(b"hi")
    got = await reader.read(6)
    writer.close()
    return got


async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer like a worker."""
    await reader.read(2)
    writer.write(b"worker")
    writer.close()


def test_new_clients_reach_a_worker_while_old_ones_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once a worker serves, the parent's sockets take no connections, also while it waits."""
    monkeypatch.setattr(startup, "REST_STOP_SECONDS", 3600)

    async def take_over() -> None:
        supervisor = Supervisor(lambda *_: None, about := config(workers=2))
        opened = asyncio.create_task(supervisor._open_early())
        await asyncio.sleep(0)
        async with slow_sender(about.http_port):
            shared = listen("http", about.http_port, is_shared=True)
            async with await asyncio.start_server(work, sock=shared), asyncio.timeout(SECONDS):
                supervisor._serves.set()
                for _ in range(10):  # turns of the event loop, in which the sockets are closed
                    await asyncio.sleep(0)
                answers = [await answer(about.http_port) for _ in range(60)]
        await opened
        supervisor.kill()
        assert answers == [b"worker"] * 60

    asyncio.run(take_over())
