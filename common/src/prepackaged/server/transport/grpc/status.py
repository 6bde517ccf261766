"""Errors as gRPC clients read them: a status code, and the message as its details."""

from enum import IntEnum
from http import HTTPStatus

from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonNotImplementedError

from prepackaged.server.protocols.seldon.errors import http_status_of


class Status(IntEnum):
    """The codes that this server answers with; gRPC has some more."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


CODES: dict[int, Status] = {
    HTTPStatus.UNAUTHORIZED: Status.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: Status.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: Status.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: Status.RESOURCE_EXHAUSTED,
    HTTPStatus.NOT_IMPLEMENTED: Status.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: Status.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: Status.DEADLINE_EXCEEDED,
}
# Details travel in a header, where a byte may take three; past 8 KiB clients refuse headers.
DETAILS_BYTES = 2000


def status_of(error: SeldonMicroserviceException) -> int:
    """The HTTP status of an error; 501 for a hook that the model does not have."""
    if isinstance(error, SeldonNotImplementedError):
        return HTTPStatus.NOT_IMPLEMENTED
    return http_status_of(error)


def code_of(status: int) -> Status:
    """The code that says over gRPC what an HTTP status says over REST."""
    is_clients_fault = status in range(400, 500)
    default = Status.INVALID_ARGUMENT if is_clients_fault else Status.INTERNAL
    return CODES.get(status, default)


def details_of(error: SeldonMicroserviceException) -> str:
    """The error's message, cut to what a header may carry."""
    text = str(error.message).encode(errors="replace")
    return text[:DETAILS_BYTES].decode(errors="ignore")
