"""grpc.reflection: describe services and messages to clients such as grpcurl."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any

from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from prepackaged.errors import describe
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.grpc.status import (
    CallError,
    Status,
    response_of,
    transport_failure,
)
from prepackaged.server.transport.grpc.stream_calls import StreamCall
from prepackaged.server.transport.routing import WireProtocol

# Both versions have the same wire format.
NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class Pools:
    """Several descriptor pools as one; a name is looked up in each pool in turn."""

    def __init__(self, *pools: Any) -> None:
        self._pools = pools

    def __getattr__(self, name: str) -> Any:
        return partial(self._first, name)

    def _first(self, name: str, *values: Any) -> Any:
        """The first result of a pool. Raises `KeyError` if no pool has one."""
        for pool in self._pools:
            with suppress(KeyError):
                return getattr(pool, name)(*values)
        raise KeyError(values)


class Reflection:
    """Describe these services and the reflection service itself.

    `pools` contain descriptors that the default pool lacks.
    """

    def __init__(self, services: Sequence[str], pools: Sequence[DescriptorPool] = ()) -> None:
        self._services = [*services, NAMES[-1]]
        self._pools = pools

    def protocol(self) -> WireProtocol:
        """The protocol with these calls."""
        return WireProtocol(
            prefix="/grpc.reflection.",
            http_failure=failure,
            grpc_failure=failure,
            streams={f"/{name}/ServerReflectionInfo": self._converse for name in NAMES},
            is_observed=False,
        )

    @cached_property
    def _servicer(self) -> Any:
        from grpc_reflection.v1alpha.reflection import ReflectionServicer  # imports all of grpcio

        return ReflectionServicer(self._services, Pools(Default(), *self._pools))

    def _converse(self, call: StreamCall, message: bytes | None) -> None:
        if message is None:
            call.end()
            return
        try:
            question = reflection_pb2.ServerReflectionRequest.FromString(message)
        except DecodeError as error:
            why = f"expected a ServerReflectionRequest: {error}"
            raise CallError(Status.INVALID_ARGUMENT, why) from error
        for answer in self._servicer.ServerReflectionInfo(iter([question]), None):
            call.send(answer.SerializeToString())


def failure(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001  a Failure
    """The response to an error."""
    if isinstance(error, CallError | TransportError):
        return transport_failure(error)
    return response_of(Status.INTERNAL, describe(error))
