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
def test_a_port_that_is_taken_is_a_deployment_error(what: str, name: str, variable: str) -> None:
    """The one who deploys is told which port it is and how to choose another."""
    with listen(what, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeploymentError) as caught:
            listen(what, port)

    assert str(caught.value) == (
        f"the {name} port {port} cannot be opened: Address already in use; another one can be set"
        f" with --{what}-port or {variable}"
    )


def test_workers_may_share_a_port() -> None:
    """Two processes that agree on it listen on the same port."""
    with listen("grpc", 0, is_shared=True) as first:
        port = first.getsockname()[1]
        with listen("grpc", port, is_shared=True) as second:
            assert second.getsockname() == first.getsockname()
