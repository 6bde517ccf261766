"""grpc.health.v1: report whether this server is ready."""

from collections.abc import Collection
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from prepackaged.errors import describe
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.grpc.messages import too_large
from prepackaged.server.transport.grpc.status import (
    CallError,
    Status,
    response_of,
    transport_failure,
)
from prepackaged.server.transport.grpc.stream_calls import MAX_MESSAGE, StreamCall
from prepackaged.server.transport.routing import WireProtocol

NAME = "grpc.health.v1.Health"
HealthResponse = health_pb2.HealthCheckResponse


class Health:
    """One status for all services and for the server itself, whose name is ""."""

    def __init__(self, services: Collection[str], *, is_serving: bool = True) -> None:
        self._services = {"", *services}
        self._status: Any = HealthResponse.SERVING if is_serving else HealthResponse.NOT_SERVING
        self._watches: set[tuple[StreamCall, str]] = set()

    def protocol(self) -> WireProtocol:
        """The protocol with these calls."""
        return WireProtocol(
            prefix=f"/{NAME}/",
            http_failure=failure,
            grpc_failure=failure,
            methods={f"/{NAME}/Check": self._check},
            streams={f"/{NAME}/Watch": self._watch},
            is_observed=False,
        )

    def set_status(self, *, is_serving: bool) -> None:
        """Report SERVING or NOT_SERVING from now on; watchers are notified of a change at once."""
        status = HealthResponse.SERVING if is_serving else HealthResponse.NOT_SERVING
        if status == self._status:
            return
        self._status = status
        for call, service in list(self._watches):
            call.send(self._status_of(service))

    def _check(self, exchange: Exchange) -> None:
        if len(exchange.body) > MAX_MESSAGE:
            raise too_large(len(exchange.body), MAX_MESSAGE)
        service = service_in(exchange.body)
        if service not in self._services:
            raise CallError(Status.NOT_FOUND, f"no service {service}")
        exchange.respond(Response(self._status_of(service)))

    def _watch(self, call: StreamCall, message: bytes | None) -> None:
        """Send the status now and whenever it changes, until client or server stops."""
        if message is None and call.on_end is None:
            call.fail(Status.INVALID_ARGUMENT, "expected one message, which is missing")
        elif message is not None:
            if call.on_end is not None:
                raise CallError(Status.INVALID_ARGUMENT, "expected one message, got another")
            self._begin_watch(call, message)

    def _begin_watch(self, call: StreamCall, message: bytes) -> None:
        try:
            service = service_in(message)
        except DecodeError as error:
            raise CallError(Status.INVALID_ARGUMENT, not_decoded(error)) from error
        watch = (call, service)
        self._watches.add(watch)
        call.on_end = partial(self._watches.discard, watch)
        call.send(self._status_of(service))

    def _status_of(self, service: str) -> bytes:
        is_known = service in self._services
        status = self._status if is_known else HealthResponse.SERVICE_UNKNOWN
        return bytes(HealthResponse(status=status).SerializeToString())


def service_in(message: bytes) -> str:
    """The service that the request names. Raises `DecodeError`."""
    return str(health_pb2.HealthCheckRequest.FromString(message).service)


def not_decoded(error: DecodeError) -> str:
    """The error for a malformed message."""
    return f"expected a HealthCheckRequest: {error}"


def failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error."""
    if isinstance(error, CallError | TransportError):
        return transport_failure(error)
    if isinstance(error, DecodeError):
        return response_of(Status.INVALID_ARGUMENT, not_decoded(error))
    return response_of(Status.INTERNAL, describe(error))
