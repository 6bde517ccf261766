"""Errors as MLflow's scoring server writes them: `{"error_code", "message"}`."""

from prepackaged.server.protocols.error_texts import error_text
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.transport.exchange import Exchange, Response

# Of databricks.proto, which lists MLflow's codes.
CODES = {
    404: "ENDPOINT_NOT_FOUND",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def http_failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error; a traceback stays in the log, unlike MLflow's."""
    status, text, headers = error_text(error)
    default = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    body = {"error_code": CODES.get(status, default), "message": text}
    return Response(dump(body), status, headers=headers)
