"""Convert errors to statuses and messages, for all protocols."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from operator import index
from typing import Any

from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonNotImplementedError

from prepackaged.arrays import UnequalLengthsError
from prepackaged.errors import ClientError
from prepackaged.server.inference.predictor import error_for_client
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.grpc.status import (
    CallError,
    code_of,
    pushback,
    response_of,
    transport_failure,
)
from prepackaged.signature import Signature, declared_signature
from prepackaged.tensor_values import unequal_lengths

STATUSES = set(range(200, 600)) - {204, 205, 304}  # the statuses whose responses have a body
LONGEST = 1900  # the most characters of a message, so that it and its suffix fit into gRPC details


def error_failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error over REST in the form `{"error": "<text>"}`.

    The clients of KServe, Triton and TensorFlow Serving read it; KServe's client only if the
    content type is `application/json` without a charset (kserve/inference_client.py).
    """
    if isinstance(error, TransportError):
        return Response(_body(str(error)), error.status, headers=error.headers)
    shown = error_for_client(error)
    return Response(_body(str(shown.message)), http_status_of(shown), headers=retry_after(shown))


def grpc_failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error over gRPC: a status code with the message as its details."""
    if isinstance(error, CallError | TransportError):
        return transport_failure(error)
    shown = error_for_client(error)
    status = grpc_http_status_of(shown)
    response = response_of(code_of(status), bounded(str(shown.message)), counted_as=status)
    response.headers = pushback(retry_after(shown))
    return response


def naming_the_input(model: Any, error: UnequalLengthsError) -> ClientError:
    """The error with the name and the shape of the model's only input, if it has only one."""
    tensors = (declared_signature(model) or Signature()).input_tensors
    needed = [spec for spec in tensors if not spec.optional]
    return unequal_lengths(needed[0], error) if len(needed) == 1 else error


def refuse_cloud_event(message: Mapping[str, Any], *wanted: str) -> None:
    """Refuse a CloudEvent in structured mode, as JSON: raise `TransportError` 415.

    CloudEvents 1.0.2, 3.1: `specversion` is required. In binary mode the event is in headers, which
    are ignored.
    """
    if "specversion" in message:
        raise TransportError(
            415,
            f"expected an object with {' or '.join(wanted)}, got a CloudEvent in structured mode;"
            " binary mode, with the headers ce-*, is accepted",
        )


def retry_after(error: SeldonMicroserviceException) -> dict[str, str]:
    """The `Retry-After` header, if a retry makes sense."""
    seconds = getattr(error, "retry_after", None)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def http_status_of(error: SeldonMicroserviceException) -> int:
    """The HTTP status of the error; 500 if it has none, or one without a body."""
    try:
        status = index(error.status_code)
    except TypeError:
        return 500
    return status if status in STATUSES else 500


def grpc_http_status_of(error: SeldonMicroserviceException) -> int:
    """The HTTP status for an error over gRPC; 501 if the model lacks the hook."""
    if isinstance(error, SeldonNotImplementedError):
        return HTTPStatus.NOT_IMPLEMENTED
    return http_status_of(error)


def bounded(message: Any) -> Any:
    """A message cut to LONGEST characters, because it may contain a client's input or a table."""
    if not isinstance(message, str) or len(message) <= LONGEST:
        return message
    return f"{message[:LONGEST]}... ({len(message) - LONGEST} more characters)"


def _body(text: str) -> bytes:
    return json.dumps({"error": bounded(text)}, separators=(",", ":")).encode()
