"""Serve a Model inside a test: the real server, on free ports, in three lines.

with serve(Model()) as server:
    answer = requests.post(f"{server.url}/api/v1.0/predictions", json={"strData": "hi"})
    assert answer.json()["strData"] == "hi, too"
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from prepackaged.server.inference.model_thread import ModelThread, started
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loading import read_metadata
from prepackaged.server.runtime.server import MakeProtocol, RunningServer
from prepackaged.server.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Served:
    """Where a served model answers: the addresses of REST, gRPC and metrics."""

    url: str
    grpc: str
    metrics: str


@contextmanager
def serve(model: Any, protocols: Sequence[MakeProtocol] = (), **settings: Any) -> Iterator[Served]:
    """Serve a loaded model until the block ends; `settings` are fields of the server's Config.

    The model is called on a thread of its own, for the main one runs the test.
    """
    http, grpc, metrics = _free_ports(3)
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    config = Config(type(model).__name__, {}, **(ports | settings))
    with LoopThread() as loop, started(ModelThread()) as thread:
        server = loop.run(
            _started(model, read_metadata(model), config, thread.submit, Metrics(), protocols)
        )
        try:
            yield Served(
                f"http://localhost:{config.http_port}",
                f"localhost:{config.grpc_port}",
                f"http://localhost:{config.metrics_port}",
            )
        finally:
            loop.run(server.stop())


async def _started(*parts: Any) -> RunningServer:
    server = RunningServer(*parts)
    await server.start()
    return server


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [int(each.getsockname()[1]) for each in sockets]
