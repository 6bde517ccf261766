"""Errors as Seldon's clients read them over REST; over gRPC they are as in every protocol."""

import json
from contextlib import suppress

from seldon_core.flask_utils import SeldonMicroserviceException

from prepackaged.server.inference.predictor import error_for_client
from prepackaged.server.protocols.errors import bounded, http_status_of, retry_after
from prepackaged.server.transport.exchange import Exchange, Response, TransportError

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
    return Response(error_body(shown), http_status_of(shown), headers=retry_after(shown))


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


def _of_transport(error: TransportError) -> SeldonMicroserviceException:
    reason = REASONS.get(error.status, "MICROSERVICE_BAD_DATA")
    return SeldonMicroserviceException(str(error), status_code=error.status, reason=reason)
