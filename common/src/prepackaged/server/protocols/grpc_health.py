"""grpc.health.v1: whether this server should be used."""

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from prepackaged.server.transport.grpc.calls import Call, Method
from prepackaged.server.transport.grpc.status import Status

NAME = "grpc.health.v1.Health"
Answer = health_pb2.HealthCheckResponse


class Health:
    """All services, and the server itself by the name "", have one status."""

    def __init__(self, services: Collection[str]) -> None:
        self._services = {"", *services}
        self._status: Any = Answer.SERVING
        self._watches: list[tuple[Call, str]] = []

    def methods(self) -> Mapping[bytes, Method]:
        """What answers the calls, by path."""
        return {
            f"/{NAME}/Check".encode(): Method(self._check),
            f"/{NAME}/Watch".encode(): Method(self._watch, is_stream=True),
        }

    def set_not_serving(self) -> None:
        """Tell whoever asks or watches that this server should not be used."""
        self._status = Answer.NOT_SERVING
        self._watches = [watch for watch in self._watches if watch[0].is_open]
        for call, service in self._watches:
            call.send(self._told(service))

    def _check(self, call: Call, message: bytes | None) -> None:
        service = _service_in(call, message)
        if service in self._services:
            call.answer(self._told(service))
        elif service is not None:
            call.fail(Status.NOT_FOUND, f"no service {service}")

    def _watch(self, call: Call, message: bytes | None) -> None:
        """Tell the status now and whenever it changes, until the client or the server ends."""
        service = None if message is None else _service_in(call, message)
        if service is not None:
            self._watches = [watch for watch in self._watches if watch[0].is_open]
            self._watches.append((call, service))
            call.send(self._told(service))

    def _told(self, service: str) -> bytes:
        known = service in self._services
        return bytes(
            Answer(status=self._status if known else Answer.SERVICE_UNKNOWN).SerializeToString()
        )


def _service_in(call: Call, message: bytes | None) -> str | None:
    """The service that is asked for; None where the call failed because it is no such question."""
    try:
        return str(health_pb2.HealthCheckRequest.FromString(message or b"").service)
    except DecodeError as error:
        call.fail(Status.INVALID_ARGUMENT, f"expected a HealthCheckRequest: {error}")
        return None
