"""The sockets that a server listens on."""

import errno
import socket
from typing import Any

from prepackaged.errors import DeploymentError
from prepackaged.server.transport.forks import keep_from_children

NAMES = {"http": "REST", "grpc": "gRPC", "metrics": "metrics"}
BACKLOG = 2048
# Seconds of silence before a probe, seconds between probes, and how many may be unanswered.
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # said of an address, not of a port
ANY_HOST = "::"  # every IPv6 address and, unless the system forbids it, every IPv4 address


def listen(what: str, port: int, host: str = ANY_HOST, *, is_shared: bool = False) -> socket.socket:
    """A socket that listens on a port; 0 lets the system choose. `what` is one of NAMES.

    If `is_shared`, processes that listen on the same port share its connections. Raises
    `DeploymentError` if the port is not free.
    """
    try:
        listener = _listen(port, host, is_shared=is_shared)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # Python adds the address
        where = f"{port}" if host == ANY_HOST else f"{port} of {host}"
        raise DeploymentError(
            f"the {NAMES[what]} port {where} cannot be opened: {why}; {_remedy(what, error)}"
        ) from error
    find_dead_clients(listener)
    keep_from_children(listener)
    return listener


def _remedy(what: str, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno in NOT_HERE:
        return "another host can be set with --host or PREPACKAGED_HOST, or for make with HOST"
    name = what.upper()
    settings = f"--{what}-port or PREDICTIVE_UNIT_{name}_SERVICE_PORT"
    return f"another one can be set with {settings}, or for make with {name}_PORT"


def find_dead_clients(listener: socket.socket) -> None:
    """Turn on TCP keepalive, which closes connections whose clients have vanished.

    On Linux, connections inherit a listener's options.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _listen(port: int, host: str, *, is_shared: bool) -> socket.socket:
    if host == ANY_HOST and socket.has_dualstack_ipv6():
        try:
            return _bound((host, port), socket.AF_INET6, is_shared=is_shared, dualstack_ipv6=True)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 is off
                raise
    if host == ANY_HOST:
        return _bound(("", port), socket.AF_INET, is_shared=is_shared)
    family, _, _, _, address = min(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return _bound(address[:2], family, is_shared=is_shared)


def _bound(
    address: tuple[Any, ...], family: int, *, is_shared: bool, dualstack_ipv6: bool = False
) -> socket.socket:
    return socket.create_server(
        address,
        family=family,
        backlog=BACKLOG,
        reuse_port=is_shared,
        dualstack_ipv6=dualstack_ipv6,
    )
