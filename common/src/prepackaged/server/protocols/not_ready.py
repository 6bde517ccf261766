"""A protocol while the model is not loaded: every request is refused in the protocol's form."""

from prepackaged.errors import NotReadyError
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Failure, WireProtocol


def refusing(
    prefix: str, http_failure: Failure, grpc_failure: Failure, why: str, health: str = ""
) -> WireProtocol:
    """A protocol that answers 503 to all requests under a prefix.

    `health` is another path that is refused. The other arguments are those of `WireProtocol`.
    """

    def over_http(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return http_failure(exchange, NotReadyError(why))

    def over_grpc(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return grpc_failure(exchange, NotReadyError(why))

    def refuse(exchange: Exchange) -> None:
        exchange.fail(NotReadyError(why))

    routes = {health: {"GET": refuse}} if health else {}
    return WireProtocol(
        prefix=prefix, http_failure=over_http, grpc_failure=over_grpc, routes=routes
    )
