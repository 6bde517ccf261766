"""The sockets that a server listens on."""

import socket

from prepackaged.errors import DeploymentError

NAMES = {"http": "REST", "grpc": "gRPC", "metrics": "metrics"}
BACKLOG = 2048
# Seconds of silence before a client is asked, between questions, and how many have no answer.
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


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
    find_dead_clients(listener)
    listener.listen(BACKLOG)
    return listener


def find_dead_clients(listener: socket.socket) -> None:
    """Let the system close connections whose clients are gone without a word.

    Linux hands a listener's options on to its connections.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
