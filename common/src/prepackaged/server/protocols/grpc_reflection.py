"""grpc.reflection: clients such as grpcurl ask which services there are, and of which messages."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from prepackaged.server.transport.grpc.calls import Call, Method
from prepackaged.server.transport.grpc.status import Status

# The messages of both are the same on the wire.
NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class Reflection:
    """Answers questions about the named services, and about itself."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = [*services, NAMES[-1]]

    def methods(self) -> Mapping[bytes, Method]:
        """What answers the calls, by path."""
        method = Method(self._converse, is_stream=True)
        return {f"/{name}/ServerReflectionInfo".encode(): method for name in NAMES}

    @cached_property
    def _servicer(self) -> Any:
        from grpc_reflection.v1alpha.reflection import ReflectionServicer  # it loads all of grpcio

        return ReflectionServicer(self._services)

    def _converse(self, call: Call, message: bytes | None) -> None:
        if message is None:
            call.end()
            return
        try:
            question = reflection_pb2.ServerReflectionRequest.FromString(message)
        except DecodeError as error:
            call.fail(Status.INVALID_ARGUMENT, f"expected a ServerReflectionRequest: {error}")
            return
        for answer in self._servicer.ServerReflectionInfo(iter([question]), None):
            call.send(answer.SerializeToString())
