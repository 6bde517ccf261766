"""A protocol while the model is not loaded: every request is refused in the protocol's form."""

from collections.abc import Callable

from prepackaged.errors import NotReadyError, RequestError
from prepackaged.server.inference.predictor import HangingError
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Failure, Handler, WireProtocol

Hangs = Callable[[], bool]


def never() -> bool:
    """Nothing hangs where no model has been called."""
    return False


def unless_hanging(handler: Handler, hangs: Hangs) -> Handler:
    """Let a handler answer, unless a call of the model that was unloaded hangs."""

    def answer(exchange: Exchange) -> None:
        if hangs():
            raise HangingError
        handler(exchange)

    return answer


def refusal(error: BaseException, why: str) -> RequestError:
    """The error for a client, whatever was wrong with its request."""
    return error if isinstance(error, HangingError) else NotReadyError(why)


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
