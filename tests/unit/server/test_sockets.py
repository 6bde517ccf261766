import errno
import os
import socket
from typing import Any

import pytest

from prepackaged import DeploymentError
from prepackaged.server.transport.sockets import listen


@pytest.mark.parametrize(
    ("what", "name", "variable"),
    [
        ("http", "REST", "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"),
        ("grpc", "gRPC", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT"),
        ("metrics", "metrics", "PREDICTIVE_UNIT_METRICS_SERVICE_PORT"),
    ],
)
def test_a_port_in_use_is_a_deployment_error(what: str, name: str, variable: str) -> None:
    """The error names the port in use, and the flag and the variable that change it."""
    with listen(what, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeploymentError) as caught:
            listen(what, port)

    assert str(caught.value) == (
        f"the {name} port {port} cannot be opened: Address already in use; another one can be set"
        f" with --{what}-port or {variable}, or for make with {what.upper()}_PORT"
    )


def test_workers_may_share_a_port() -> None:
    """Two sockets can listen on the same port if both are opened as shared."""
    with listen("grpc", 0, is_shared=True) as first:
        port = first.getsockname()[1]
        with listen("grpc", port, is_shared=True) as second:
            assert second.getsockname() == first.getsockname()


def reaches(address: str, port: int) -> bool:
    """Return whether a connection to this address succeeds."""
    try:
        socket.create_connection((address, port), timeout=60).close()
    except OSError:
        return False
    return True


def test_by_default_a_port_listens_on_ipv6_and_ipv4() -> None:
    """By default a port listens on both IPv4 and IPv6."""
    with listen("http", 0) as listener:
        port = listener.getsockname()[1]
        assert reaches("127.0.0.1", port)
        assert reaches("::1", port)


def test_a_port_may_listen_on_a_single_address() -> None:
    """A port listens on a single address; a host name means its first IPv4 address, if any."""
    with listen("http", 0, "localhost") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert not reaches("127.0.0.2", listener.getsockname()[1])


@pytest.mark.parametrize("error", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_a_port_listens_on_ipv4(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPv6 in the kernel, a port listens on IPv4 only."""

    class WithoutIPv6(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *rest: Any, **more: Any) -> None:
            if family == socket.AF_INET6 and error == errno.EAFNOSUPPORT:
                raise OSError(error, os.strerror(error))
            super().__init__(family, *rest, **more)

        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(error, os.strerror(error))
            super().bind(address)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with listen("http", 0) as listener:
        assert listener.family == socket.AF_INET
        assert listener.getsockname()[0] == "0.0.0.0"


def test_a_host_of_another_machine_is_a_deployment_error() -> None:
    """The error for another machine's address or an unknown name names it and the setting."""
    for host in ("192.0.2.1", "2001:db8::1", "no.such.invalid"):
        with pytest.raises(DeploymentError) as caught:
            listen("http", 9000, host)
        message = str(caught.value)
        assert message.startswith(f"the REST port 9000 of {host} cannot be opened: ")
        assert message.endswith(
            "; another host can be set with --host or PREPACKAGED_HOST, or for make with HOST"
        )
