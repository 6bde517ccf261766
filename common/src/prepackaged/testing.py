"""Serve a Model in a test with the real server, on free ports."""

import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from prepackaged.server.inference.model_thread import ModelThread, started
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loading import read_metadata
from prepackaged.server.runtime.model_service import MakeProtocol
from prepackaged.server.runtime.server import RunningServer
from prepackaged.server.telemetry.metrics import Metrics

# In random order, since other processes look for ports too; below Linux's range of ports for
# outgoing connections, of which tests open thousands.
PORTS = iter(random.sample(range(10_000, 32_768), 22_768))


@dataclass(frozen=True)
class Served:
    """The addresses of a served model: REST and metrics as `http://host:port`, gRPC as `host:port`.

    >>> Served("http://localhost:9000", "localhost:5000", "http://localhost:6000").grpc
    'localhost:5000'
    """

    url: str
    grpc: str
    metrics: str


@contextmanager
def serve(model: Any, protocols: Sequence[MakeProtocol] = (), **settings: Any) -> Iterator[Served]:
    """Serve a loaded model until the block ends.

    `settings` are fields of `prepackaged.server.runtime.config.Config`, such as `batches=False`,
    and `protocols` are protocols to serve in addition to the usual ones. The model runs on a
    separate thread, because the main thread runs the test.

    >>> class Model:
    ...     def predict(self, X, feature_names=None, meta=None):
    ...         return f"Hello, {X}"
    >>> import requests
    >>> with serve(Model()) as server:
    ...     url = f"{server.url}/api/v1.0/predictions"
    ...     requests.post(url, json={"strData": "Ada"}).json()["strData"]
    'Hello, Ada'
    """
    http, grpc, metrics = free_ports(3)
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


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now, and which were not returned before in this process.

    >>> len(free_ports(3))
    3
    """
    return list(islice(filter(_is_free, PORTS), count))


def _is_free(port: int) -> bool:
    """Whether nothing listens on the port, on any address."""
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("", port))
        return True
    return False
