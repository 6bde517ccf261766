"""A protocol while there is no model: every request is refused in its own form."""

from prepackaged.errors import NotReadyError
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Failure, WireProtocol


def refusing(prefix: str, http_failure: Failure, grpc_failure: Failure, why: str) -> WireProtocol:
    """Answers 503 to all that is asked under a prefix; the arguments are a protocol's own."""

    def over_http(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return http_failure(exchange, NotReadyError(why))

    def over_grpc(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return grpc_failure(exchange, NotReadyError(why))

    return WireProtocol(prefix=prefix, http_failure=over_http, grpc_failure=over_grpc)
