"""Answer on the ports while the model loads: live, but not ready."""

import asyncio
import contextlib
import socket

from prepackaged.errors import NotReadyError
from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.seldon.protocol import not_ready
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.protocols import SERVICES, others_not_ready
from prepackaged.server.runtime.server import grpc_methods
from prepackaged.server.transport.grpc.server import GrpcServer
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.one_port.server import OnePortServer
from prepackaged.server.transport.sockets import listen

WHY = "the model is being loaded"
STOP_SECONDS = 1  # the time to answer calls that arrived before the model was loaded
REST_STOP_SECONDS = 3  # the same for REST requests, whose bodies may still be arriving
MAX_BODY = 2**20  # the most bytes of a request that are read before it is refused


class EarlyServer:
    """Answer on the REST and gRPC ports from `start` to `stop`; the sockets stay open.

    Raises `DeploymentError` if a port is not free.
    """

    def __init__(self, config: Config) -> None:
        is_shared = config.workers > 1
        change = refuse if config.repository_api else None
        self._protocols = [*others_not_ready(WHY, config, change), not_ready(WHY)]
        self._limits = Limits(MAX_BODY, keepalive=config.keepalive)
        self.rest = listen("http", config.http_port, config.host, is_shared=is_shared)
        self.grpc: socket.socket | None = None
        if config.serves_grpc:
            self.grpc = listen("grpc", config.grpc_port, config.host, is_shared=is_shared)

    async def start(self) -> None:
        """Start to answer requests."""
        limits, methods = self._limits, None
        self._grpc = None
        if self.grpc:
            health = Health(SERVICES, is_serving=False)
            methods = grpc_methods(self._protocols, health, limits, lambda *_: None)
            self._grpc = await GrpcServer.started_on(self.grpc.dup(), methods, limits)
        self._http = OnePortServer(self._protocols, limits, lambda *_: None, methods)
        await self._http.start(self.rest.dup())

    async def stop(self) -> None:
        """Stop accepting requests, and answer the accepted ones.

        Does not wait for clients that send or read too slowly.
        """
        stops = [self._stop_rest()]
        if self._grpc:
            stops.append(self._grpc.stop(STOP_SECONDS))
        await asyncio.gather(*stops)

    async def _stop_rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_STOP_SECONDS):
                await self._http.stop()

    def close(self) -> None:
        """Close the sockets; the servers answer on their duplicates until `stop`."""
        self.rest.close()
        if self.grpc:
            self.grpc.close()


async def refuse(what: str) -> None:  # noqa: ARG001  the signature of `Change`
    """Refuse to load or unload the model before it is loaded."""
    raise NotReadyError(WHY)
