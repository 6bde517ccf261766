"""Errors as gRPC clients read them: a status code, and the message as its details."""

from http import HTTPStatus

import grpc
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonNotImplementedError

CODES: dict[int, grpc.StatusCode] = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Details travel in a header, where a byte may take three; past 8 KiB clients refuse headers.
DETAILS_BYTES = 2000


def status_of(error: SeldonMicroserviceException) -> int:
    """The HTTP status of an error; 501 for a hook that the model does not have."""
    if isinstance(error, SeldonNotImplementedError):
        return HTTPStatus.NOT_IMPLEMENTED
    return int(error.status_code)


def code_of(status: int) -> grpc.StatusCode:
    """The code that says over gRPC what an HTTP status says over REST."""
    is_clients_fault = status in range(400, 500)
    default = grpc.StatusCode.INVALID_ARGUMENT if is_clients_fault else grpc.StatusCode.INTERNAL
    return CODES.get(status, default)


def details_of(error: SeldonMicroserviceException) -> str:
    """The error's message, cut to what a header may carry."""
    text = str(error.message).encode(errors="replace")
    return text[:DETAILS_BYTES].decode(errors="ignore")
