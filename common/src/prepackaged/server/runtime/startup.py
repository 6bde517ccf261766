"""The ports while the model loads: alive, and not ready."""

import socket

from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.seldon.protocol import not_ready
from prepackaged.server.protocols.v2 import protocol as v2
from prepackaged.server.protocols.v2.served import Name
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.server import SERVICES, serve_grpc
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.sockets import listen

WHY = "the model is being loaded"
STOP_SECONDS = 1  # to answer what was sent before the model was loaded
MAX_BODY = 2**20  # bytes that are read of a request before it is refused


class EarlyServer:
    """Answers on the ports of REST and gRPC from `start` to `stop`; the sockets outlive it.

    Raises `DeploymentError` when a port is not free.
    """

    def __init__(self, config: Config) -> None:
        is_shared = config.workers > 1
        self._name = Name(config.model_name, config.model_version)
        self._limits = Limits(MAX_BODY, keepalive=config.keepalive)
        self.rest = listen("http", config.http_port, config.host, is_shared=is_shared)
        self.grpc: socket.socket | None = None
        if config.serves_grpc:
            self.grpc = listen("grpc", config.grpc_port, config.host, is_shared=is_shared)

    async def start(self) -> None:
        """Begin to answer."""
        protocols = [not_ready(WHY), v2.not_ready(self._name, WHY)]
        self._http = HttpServer(protocols, self._limits, lambda *_: None)
        await self._http.start(self.rest.dup())
        self._grpc = None
        if self.grpc:
            health = Health(SERVICES, is_serving=False)
            self._grpc = await serve_grpc(
                self.grpc.dup(), protocols, health, self._limits, lambda *_: None
            )

    async def stop(self) -> None:
        """Answer what was sent, and then nobody any more."""
        await self._http.stop()
        if self._grpc:
            await self._grpc.stop(STOP_SECONDS)

    def close(self) -> None:
        """Close the sockets."""
        self.rest.close()
        if self.grpc:
            self.grpc.close()
