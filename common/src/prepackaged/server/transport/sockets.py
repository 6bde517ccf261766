"""The sockets that a server listens on."""

import socket

from prepackaged.errors import DeploymentError

NAMES = {"http": "REST", "grpc": "gRPC", "metrics": "metrics"}
BACKLOG = 2048


def listen(what: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket that listens on a port; 0 leaves the choice to the system.

    `what` is one of NAMES. With `is_shared`, processes that listen on the same port share its
    connections. Raises `DeploymentError` when the port is not free.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(("0.0.0.0", port))  # noqa: S104  a container's ports are for its network
    except OSError as error:
        listener.close()
        raise DeploymentError(
            f"the {NAMES[what]} port {port} cannot be opened: {error.strerror}; another one can be"
            f" set with --{what}-port or PREDICTIVE_UNIT_{what.upper()}_SERVICE_PORT"
        ) from error
    listener.listen(BACKLOG)
    return listener
