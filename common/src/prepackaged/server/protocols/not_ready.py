"""Protocols while the model is not loaded: they refuse requests with errors in their own form."""

from collections.abc import Callable

from prepackaged.errors import NotReadyError, RequestError
from prepackaged.server.inference.predictor import HangingError
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Failure, Handler, WireProtocol

Hangs = Callable[[], bool]


def never() -> bool:
    """Return False: no call can hang before a model is called."""
    return False


def unless_hanging(handler: Handler, hangs: Hangs) -> Handler:
    """Wrap a handler so that it raises `HangingError` if a call to the unloaded model hangs."""

    def answer(exchange: Exchange) -> None:
        if hangs():
            raise HangingError
        handler(exchange)

    return answer


def refusal(error: BaseException, why: str) -> RequestError:
    """The error for a client: `HangingError`, else `NotReadyError` whatever the request's fault."""
    return error if isinstance(error, HangingError) else NotReadyError(why)


def refusing(
    prefix: str, http_failure: Failure, grpc_failure: Failure, why: str, *health: str
) -> WireProtocol:
    """A protocol that answers 503 to all requests under a prefix, and for the paths `health`.

    The other arguments are those of `WireProtocol`.
    """

    def over_http(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return http_failure(exchange, NotReadyError(why))

    def over_grpc(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return grpc_failure(exchange, NotReadyError(why))

    def refuse(exchange: Exchange) -> None:
        exchange.fail(NotReadyError(why))

    return WireProtocol(
        prefix=prefix,
        http_failure=over_http,
        grpc_failure=over_grpc,
        routes={path: {"GET": refuse} for path in health},
    )
