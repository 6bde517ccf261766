"""The ports while the model loads: alive, and not ready."""

import socket

from prepackaged.errors import NotReadyError
from prepackaged.server.protocols.seldon.rest import failure, ping
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.server import unobserved
from prepackaged.server.transport.grpc.server import start_not_ready
from prepackaged.server.transport.http1.app import Application, HttpResponse
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.sockets import listen

WHY = "the model is being loaded"
ENOUGH_SECONDS = 1  # to answer what came before the model was loaded


class EarlyServer:
    """Answers on the ports of REST and gRPC from `start` to `stop`; the sockets outlive it.

    Raises `DeploymentError` when a port is not free.
    """

    def __init__(self, config: Config) -> None:
        is_shared = config.workers > 1
        self._keepalive = config.keepalive
        self.rest = listen("http", config.http_port, is_shared=is_shared)
        self.grpc: socket.socket | None = None
        if config.serves_grpc:
            self.grpc = listen("grpc", config.grpc_port, is_shared=is_shared)

    async def start(self) -> None:
        """Begin to answer."""
        routes = {"/health/ping": {"GET": ping}}
        application = Application(routes, _not_ready, max_body=0, observe=None)
        self._http = await HttpServer.started_on(
            self.rest.dup(), application, unobserved(), self._keepalive
        )
        self._grpc = await start_not_ready(self.grpc.dup(), WHY) if self.grpc else None

    async def stop(self) -> None:
        """Answer what has come, and then nobody any more."""
        await self._http.stop()
        if self._grpc:
            await self._grpc.stop(ENOUGH_SECONDS)

    def close(self) -> None:
        """Close the sockets."""
        self.rest.close()
        if self.grpc:
            self.grpc.close()


def _not_ready(error: BaseException) -> HttpResponse:  # noqa: ARG001  whatever was asked for
    return failure(NotReadyError(WHY))
