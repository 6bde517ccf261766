"""Errors in MLflow's form: `{"error_code", "message"}`."""

from collections.abc import Mapping

from prepackaged.server.inference.predictor import error_for_client
from prepackaged.server.protocols.errors import bounded, http_status_of, retry_after
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.transport.exchange import Exchange, Response, TransportError

# MLflow's error codes, from databricks.proto.
CODES = {
    404: "ENDPOINT_NOT_FOUND",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def http_failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error; unlike MLflow's, without the traceback, which is only logged."""
    if isinstance(error, TransportError):
        return _response(error.status, str(error), error.headers)
    shown = error_for_client(error)
    return _response(http_status_of(shown), str(shown.message), retry_after(shown))


def _response(status: int, text: str, headers: Mapping[str, str]) -> Response:
    default = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    body = {"error_code": CODES.get(status, default), "message": bounded(text)}
    return Response(dump(body), status, headers=headers)
