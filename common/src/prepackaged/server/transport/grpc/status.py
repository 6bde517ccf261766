"""Errors in gRPC's form: a status code, and the message as its details."""

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from urllib.parse import quote

from prepackaged.server.transport.exchange import Response, TransportError
from prepackaged.server.transport.http2.hpack import block_of


class Status(IntEnum):
    """The codes that this server uses; gRPC has more."""

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
    HTTPStatus.TOO_MANY_REQUESTS: Status.RESOURCE_EXHAUSTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    HTTPStatus.REQUEST_TIMEOUT: Status.DEADLINE_EXCEEDED,
    HTTPStatus.NOT_IMPLEMENTED: Status.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: Status.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: Status.DEADLINE_EXCEEDED,
}
#: The HTTP status under which a code is counted; the last one wins, as sizes are our limit.
COUNTED_AS: dict[Status, int] = {
    **{code: int(status) for status, code in CODES.items()},
    Status.OK: 200,
    Status.INVALID_ARGUMENT: 400,
    Status.INTERNAL: 500,
}
# Details are sent in a header, where a byte may take three; clients refuse over 8 KiB.
DETAILS_BYTES = 2000
PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class CallError(Exception):
    """Ends a call with this status; the error's text becomes the details."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def code_of(status: int) -> Status:
    """The gRPC code that corresponds to an HTTP status."""
    is_clients_fault = status in range(400, 500)
    default = Status.INVALID_ARGUMENT if is_clients_fault else Status.INTERNAL
    return CODES.get(status, default)


def response_of(status: Status, details: str, *, counted_as: int | None = None) -> Response:
    """The response of a call that fails.

    It is counted under `counted_as`, an HTTP status; without one, under the code's.
    """
    number = COUNTED_AS[status] if counted_as is None else counted_as
    return Response(b"", status=number, code=status, details=cut(details))


def transport_failure(error: CallError | TransportError) -> Response:
    """The response to an error of the transport, the same in every protocol."""
    if isinstance(error, CallError):
        return response_of(error.status, str(error))
    response = response_of(code_of(error.status), str(error), counted_as=error.status)
    response.headers = pushback(error.headers)
    return response


def pushback(headers: Mapping[str, str]) -> dict[str, str]:
    """The trailer for a number of seconds in `Retry-After`, for clients that retry (gRFC A6)."""
    seconds = headers.get("Retry-After", "")
    whole = seconds.isascii() and seconds.isdecimal()
    return {"grpc-retry-pushback-ms": str(1000 * int(seconds))} if whole else {}


def cut(details: str) -> str:
    """A text, shortened to fit into a header."""
    return details.encode(errors="replace")[:DETAILS_BYTES].decode(errors="ignore")


def trailers_of(status: IntEnum, details: str = "") -> tuple[tuple[str, str], ...]:
    """The fields that end a call."""
    code = ("grpc-status", str(int(status)))
    if not details:
        return (code,)
    return code, ("grpc-message", quote(details, safe=PRINTABLE, errors="replace"))


BEGIN = ((":status", "200"), ("content-type", "application/grpc"))
BEGIN_BLOCK = block_of(*BEGIN)
OK_BLOCK = block_of(*trailers_of(Status.OK))
