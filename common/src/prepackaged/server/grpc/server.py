"""The gRPC server of one process."""

from typing import Any

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION_NAME
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from prepackaged.errors import DeploymentError
from prepackaged.server.grpc.health import Health, Reflection
from prepackaged.server.grpc.services import SERVICES, Services
from prepackaged.server.seldon.dispatch import Dispatcher

SELDON_NAMES = [service.full_name for service in SERVICES]
NAMES = [*SELDON_NAMES, HEALTH_NAME, REFLECTION_NAME]


class Server:
    """A server that answers; `port` is the one it has, also where it was left to choose."""

    def __init__(self, server: grpc.aio.Server, health: Health, port: int) -> None:
        self._server = server
        self._health = health
        self.port = port

    def set_not_serving(self) -> None:
        """Tell whoever asks for the health, from now on, that this server should not be used."""
        self._health.set_not_serving()

    async def stop(self, grace_seconds: float | None) -> None:
        """Take no new calls and return when those that run are answered or the grace is over."""
        self._health.end()
        await self._server.stop(grace_seconds)


async def start(
    dispatcher: Dispatcher, port: int, *, max_message: int | None = None, share_port: bool = False
) -> Server:
    """Serve on a port; 0 leaves the choice to the system.

    `max_message` bounds messages both ways, in bytes. With `share_port`, processes that listen
    on the same port share its connections. Raises `DeploymentError` when the port is not free.
    """
    server = grpc.aio.server(options=_options(max_message, share_port=share_port))
    Services(dispatcher).add_to(server)
    health = Health(SELDON_NAMES)
    add_HealthServicer_to_server(health, server)
    reflection = Reflection(NAMES, health.is_over)
    add_ServerReflectionServicer_to_server(reflection, server)  # type: ignore[no-untyped-call]
    bound = _bind(server, port)
    await server.start()
    return Server(server, health, bound)


def _options(max_message: int | None, *, share_port: bool) -> list[tuple[str, Any]]:
    limit = -1 if max_message is None else max_message
    return [
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_send_message_length", limit),
        ("grpc.max_receive_message_length", limit),
    ]


def _bind(server: grpc.aio.Server, port: int) -> int:
    try:
        return int(server.add_insecure_port(f"0.0.0.0:{port}"))
    except RuntimeError as error:
        raise DeploymentError(
            f"the gRPC port {port} cannot be opened: {error}; another one can be set with"
            " --grpc-port or PREDICTIVE_UNIT_GRPC_SERVICE_PORT"
        ) from error
