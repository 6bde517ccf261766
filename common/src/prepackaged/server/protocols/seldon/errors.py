"""Errors over REST in the form that Seldon's clients read; over gRPC, all protocols share one."""

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

    The message of a model's error may be any object; it is sent as text if JSON has no such type.
    Texts are cut to LONGEST characters, because errors may quote a request.
    """
    body = error.to_dict()
    with suppress(KeyError, TypeError):  # the model's error may have its own form
        body["status"]["info"] = bounded(body["status"]["info"])
    text = json.dumps(body, default=str, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"


def _of_transport(error: TransportError) -> SeldonMicroserviceException:
    reason = REASONS.get(error.status, "MICROSERVICE_BAD_DATA")
    return SeldonMicroserviceException(str(error), status_code=error.status, reason=reason)
