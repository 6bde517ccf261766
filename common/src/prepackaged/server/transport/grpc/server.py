"""The gRPC server of one process."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping

from prepackaged.server.inference.predictor import Dispatcher
from prepackaged.server.protocols.grpc_health import NAME as HEALTH_NAME
from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.grpc_reflection import Reflection
from prepackaged.server.protocols.seldon.grpc import SERVICES, Services, path_of
from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.grpc.calls import Call, Method
from prepackaged.server.transport.grpc.status import Status
from prepackaged.server.transport.http2.connection import UNLIMITED, Connection, Limits
from prepackaged.server.transport.sockets import BACKLOG

GREETING_SECONDS = 60  # for a client to say that it speaks HTTP/2
SELDON_NAMES = [service.full_name for service in SERVICES]


class Server:
    """A server that answers; `port` is the one it has, also where it was left to choose."""

    def __init__(
        self, server: asyncio.Server, connections: set[Connection], health: Health
    ) -> None:
        self._server = server
        self._connections = connections
        self._health = health
        self.port = int(server.sockets[0].getsockname()[1])

    def set_not_serving(self) -> None:
        """Tell whoever asks for the health, from now on, that this server should not be used."""
        self._health.set_not_serving()

    async def stop(self, grace_seconds: float | None) -> None:
        """Take no new calls and return when those that run are answered or the grace is over."""
        self._server.close()
        for connection in list(self._connections):
            connection.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds or 0):
                while self._connections:
                    await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()


async def start(
    dispatcher: Dispatcher,
    listener: socket.socket,
    *,
    observe: Observer,
    limits: Limits = UNLIMITED,
) -> Server:
    """Serve on an open socket. The limit of a message is for both ways."""
    methods = Services(dispatcher, observe).methods()
    return await _started(methods, Health(SELDON_NAMES), listener, limits)


async def start_not_ready(listener: socket.socket, why: str) -> Server:
    """Answer while the model is loaded: its health as it is, and calls with UNAVAILABLE."""

    def refuse(call: Call, message: bytes | None) -> None:  # noqa: ARG001  a method's shape
        call.fail(Status.UNAVAILABLE, why)

    paths = (path_of(method).encode() for service in SERVICES for method in service.methods)
    health = Health(SELDON_NAMES)
    health.set_not_serving()
    return await _started(dict.fromkeys(paths, Method(refuse)), health, listener, UNLIMITED)


async def _started(
    services: Mapping[bytes, Method],
    health: Health,
    listener: socket.socket,
    limits: Limits,
) -> Server:
    reflection = Reflection([*SELDON_NAMES, HEALTH_NAME])
    methods = {**services, **health.methods(), **reflection.methods()}
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()

    def accept() -> Connection:
        connection = Connection(methods, connections, limits)
        connection.patience = loop.call_later(GREETING_SECONDS, connection.expect_greeting)
        return connection

    server = await loop.create_server(accept, sock=listener, backlog=BACKLOG)
    return Server(server, connections, health)
