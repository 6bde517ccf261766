"""Errors as Seldon's clients read them, over REST and gRPC."""

import json
from contextlib import suppress
from http import HTTPStatus
from operator import index
from typing import Any

from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonNotImplementedError

from prepackaged.server.inference.predictor import error_for_client
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.grpc.status import (
    CallError,
    code_of,
    response_of,
    transport_failure,
)

STATUSES = set(range(200, 600)) - {204, 205, 304}  # those whose responses have a body
LONGEST = 1900  # characters of a message: with what follows it fits into the details of gRPC
REASONS = {
    404: "MICROSERVICE_NOT_FOUND",
    405: "MICROSERVICE_METHOD_NOT_ALLOWED",
    503: "MICROSERVICE_OVERLOADED",
    504: "MICROSERVICE_TIMEOUT",
}


def http_failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error over REST: `{"status": {"code", "info", "reason", "status"}}`."""
    if isinstance(error, TransportError):
        return Response(error_body(_of_transport(error)), error.status, headers=error.headers)
    shown = error_for_client(error)
    seconds = getattr(shown, "retry_after", None)
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Response(error_body(shown), http_status_of(shown), headers=headers)


def grpc_failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error over gRPC: a status code, and the message as its details."""
    if isinstance(error, CallError | TransportError):
        return transport_failure(error)
    shown = error_for_client(error)
    status = grpc_http_status_of(shown)
    return response_of(code_of(status), bounded(str(shown.message)), counted_as=status)


def http_status_of(error: SeldonMicroserviceException) -> int:
    """The HTTP status that the error has; 500 where that is none, or has no body to explain it."""
    try:
        status = index(error.status_code)
    except TypeError:
        return 500
    return status if status in STATUSES else 500


def grpc_http_status_of(error: SeldonMicroserviceException) -> int:
    """The same over gRPC, where a hook that the model does not have is 501."""
    if isinstance(error, SeldonNotImplementedError):
        return HTTPStatus.NOT_IMPLEMENTED
    return http_status_of(error)


def error_body(error: SeldonMicroserviceException) -> bytes:
    """The JSON body of an error.

    Whatever a model puts into its error's message is sent, if need be as text, up to LONGEST
    characters: errors quote what clients sent.
    """
    body = error.to_dict()
    with suppress(KeyError, TypeError):  # it has a form of its own
        body["status"]["info"] = bounded(body["status"]["info"])
    text = json.dumps(body, default=str, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"


def bounded(message: Any) -> Any:
    """A message, cut where it is a long text: it may hold what a client sent, or all of a table."""
    if not isinstance(message, str) or len(message) <= LONGEST:
        return message
    return f"{message[:LONGEST]}... ({len(message) - LONGEST} more characters)"


def _of_transport(error: TransportError) -> SeldonMicroserviceException:
    reason = REASONS.get(error.status, "MICROSERVICE_BAD_DATA")
    return SeldonMicroserviceException(str(error), status_code=error.status, reason=reason)
