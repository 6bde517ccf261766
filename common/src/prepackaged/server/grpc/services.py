"""Seldon's seven services: messages in, the dispatcher's answers or errors out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto import prediction_pb2
from seldon_core.utils import json_to_seldon_model_metadata

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.grpc.errors import code_of, details_of, status_of
from prepackaged.server.seldon import protobuf
from prepackaged.server.seldon.dispatch import Dispatcher, to_tell

SERVICES: list[ServiceDescriptor] = [
    prediction_pb2.DESCRIPTOR.services_by_name[name]
    for name in (
        "Generic",
        "Model",
        "Router",
        "Transformer",
        "OutputTransformer",
        "Combiner",
        "Seldon",
    )
]
HOOKS = {
    "TransformInput": "transform_input",
    "TransformOutput": "transform_output",
    "Route": "route",
    "Aggregate": "aggregate",
}
CLIENT_WENT_AWAY = 499  # nginx's number, for there is no official one

Call = Callable[[Any], Awaitable[Any]]


class Services:
    """The calls of all services, answered by one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        # By a call's name in the services, its name in the metrics and what answers it.
        self._calls: dict[str, tuple[str, Call]] = {
            "Predict": ("predict", self._predict),
            "SendFeedback": ("feedback", partial(dispatcher.call, "send_feedback")),
            "Metadata": ("other", self._metadata),
            "ModelMetadata": ("other", self._metadata),
            "GraphMetadata": ("other", self._graph_metadata),
        }
        for name, hook in HOOKS.items():
            self._calls[name] = hook, partial(dispatcher.call, hook)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Let the server answer every call of every service."""
        for service in SERVICES:
            handlers = {method.name: self._handler(method) for method in service.methods}
            server.add_registered_method_handlers(service.full_name, handlers)

    def _handler(self, method: MethodDescriptor) -> Any:
        kind, call = self._calls[method.name]
        read = partial(_read, GetMessageClass(method.input_type))
        write = partial(_write, GetMessageClass(method.output_type))
        observe = self._dispatcher.metrics.observe_request

        async def answer(body: bytes, context: Any) -> Any:
            start = time.perf_counter()
            try:
                answered = write(await call(read(body)))
            except asyncio.CancelledError:
                observe(kind, CLIENT_WENT_AWAY, time.perf_counter() - start)
                raise
            except Exception as error:
                told = to_tell(error)
                status = status_of(told)
                observe(kind, status, time.perf_counter() - start)
                await context.abort(code_of(status), details_of(told))
            else:
                observe(kind, 200, time.perf_counter() - start)
                return answered

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _predict(self, message: prediction_pb2.SeldonMessage) -> Any:
        if self._dispatcher.has_raw_predict:
            return await self._dispatcher.call("predict", message)
        request = protobuf.decode(message)
        return protobuf.encode(await self._dispatcher.predicted(request), request)

    async def _metadata(self, message: Message) -> Any:  # noqa: ARG002  a call's shape
        return json_to_seldon_model_metadata(self._dispatcher.metadata)

    async def _graph_metadata(self, message: Message) -> Any:  # noqa: ARG002  a call's shape
        raise SeldonMicroserviceException(
            "GraphMetadata not available on the Model level.",
            status_code=HTTPStatus.NOT_IMPLEMENTED,
        )


def _read(expected: type[Message], body: bytes) -> Message:
    try:
        return expected.FromString(body)
    except DecodeError as error:
        raise ClientError(f"expected a {expected.DESCRIPTOR.full_name}: {error}") from error


def _write(expected: type[Message], answer: Any) -> bytes:
    if not isinstance(answer, expected):
        name = expected.DESCRIPTOR.full_name
        raise ModelError(f"expected a {name} of the model; came {type(answer).__name__}")
    return answer.SerializeToString()
