"""Serve a Model inside a test: the real server, on free ports, in three lines.

with serve(Model()) as server:
    answer = requests.post(f"{server.url}/api/v1.0/predictions", json={"strData": "hi"})
    assert answer.json()["strData"] == "hi, too"
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import uvloop

from prepackaged.server.config import Config
from prepackaged.server.running import RunningServer


@dataclass(frozen=True)
class Served:
    """Where a served model answers: the addresses of REST, gRPC and metrics."""

    url: str
    grpc: str
    metrics: str


@contextmanager
def serve(model: Any, **settings: Any) -> Iterator[Served]:
    """Serve a loaded model until the block ends; `settings` are fields of the server's Config."""
    http, grpc, metrics = _free_ports(3)
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    config = Config(type(model).__name__, {}, **(ports | settings))
    started: Future[asyncio.Future[None]] = Future()
    thread = threading.Thread(target=_run, args=(model, config, started))
    thread.start()
    ended = started.result()
    try:
        yield Served(
            f"http://localhost:{config.http_port}",
            f"localhost:{config.grpc_port}",
            f"http://localhost:{config.metrics_port}",
        )
    finally:
        ended.get_loop().call_soon_threadsafe(ended.set_result, None)
        thread.join()


def _run(model: Any, config: Config, started: "Future[Any]") -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(model, config, started))


async def _serve(model: Any, config: Config, started: "Future[Any]") -> None:
    try:
        server = RunningServer(model, config)
        await server.start()
    except BaseException as error:
        started.set_exception(error)
        raise
    ended = asyncio.get_running_loop().create_future()
    started.set_result(ended)
    await ended
    await server.stop()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [int(each.getsockname()[1]) for each in sockets]
