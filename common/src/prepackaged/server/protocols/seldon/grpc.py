"""Seldon's seven gRPC services: pass messages to the model's hooks, and return their results."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto import prediction_pb2
from seldon_core.utils import json_to_seldon_model_metadata

from prepackaged.arrays import UnequalLengthsError
from prepackaged.errors import ModelError
from prepackaged.server.inference.hooks import has_any_hook
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.errors import naming_the_input
from prepackaged.server.protocols.protobuf_reading import read_message
from prepackaged.server.protocols.results import finish
from prepackaged.server.protocols.seldon import protobuf_codec
from prepackaged.server.protocols.seldon.json_codec import Request
from prepackaged.server.protocols.seldon.methods import Methods, Unit, asked_parameters
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Handler

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
SERVICE_NAMES = [service.full_name for service in SERVICES]
HOOKS = {
    "Predict": "predict",
    "SendFeedback": "send_feedback",
    "TransformInput": "transform_input",
    "TransformOutput": "transform_output",
    "Route": "route",
    "Aggregate": "aggregate",
}

Answering = Callable[[Exchange, Message, type[Message]], None]


def path_of(method: MethodDescriptor) -> str:
    """The path of a gRPC method."""
    return f"/{method.containing_service.full_name}/{method.name}"


ALL_METHODS = {path_of(each): each for service in SERVICES for each in service.methods}
GRAPH_METADATA = "/seldon.protos.Seldon/GraphMetadata"
COUNTED_AS = {
    path: HOOKS[method.name].removeprefix("send_")
    for path, method in ALL_METHODS.items()
    if method.name in HOOKS
}


class Grpc:
    """The handlers of Seldon's gRPC methods."""

    def __init__(
        self,
        predictor: Predictor,
        methods: Methods,
        unit: Unit,
        metadata: dict[str, Any] | None,
    ) -> None:
        self._predictor = predictor
        self._methods = methods
        self._unit = unit
        self._metadata = metadata
        self._is_raw = has_any_hook(predictor.model, "predict_raw", "predict_grpc")

    def methods(self) -> dict[str, Handler]:
        """The handlers of all methods, by path."""
        return {path: self._handler(method) for path, method in ALL_METHODS.items()}

    def _handler(self, method: MethodDescriptor) -> Handler:
        request_type = GetMessageClass(method.input_type)
        response_type = GetMessageClass(method.output_type)
        answer = self._answering(method.name)

        def read(exchange: Exchange) -> Message:
            if len(exchange.body) > LARGE:
                exchange.hold(protobuf_codec.memory_of(exchange.body))
            return read_message(request_type, exchange.body)

        def handle(exchange: Exchange) -> None:
            if len(exchange.body) > LARGE:
                exchange.prepare(
                    partial(read, exchange),
                    lambda message: answer(exchange, message, response_type),
                )
            else:
                answer(exchange, read(exchange), response_type)

        return handle

    def _answering(self, name: str) -> Answering:
        if name == "Predict" and not self._is_raw:
            return self._predict
        return partial(self._call, HOOKS[name]) if name in HOOKS else self._answer_metadata

    def _predict(self, exchange: Exchange, message: Message, response_type: type[Message]) -> None:
        if len(exchange.body) > LARGE:
            decode = partial(self._decoded, message)
            exchange.prepare(decode, partial(self._queue, exchange, response_type))
        else:
            self._queue(exchange, response_type, self._decoded(message))

    def _decoded(self, message: Message) -> Request:
        try:
            return protobuf_codec.decode(message)
        except UnequalLengthsError as error:
            raise naming_the_input(self._predictor.model, error) from None

    def _queue(self, exchange: Exchange, response_type: type[Message], request: Request) -> None:
        request.parameters = asked_parameters(request, self._predictor.model)
        request.set_context(exchange)
        done = partial(finish, partial(self._encoded, request, response_type), exchange)
        exchange.on_cancel = self._predictor.predict(request, done).cancel

    def _encoded(
        self, request: Request, response_type: type[Message], prediction: Prediction
    ) -> Response:
        answer = protobuf_codec.encode(prediction, request, self._unit.path)
        return _response(answer, response_type)

    def _call(
        self, hook: str, exchange: Exchange, message: Message, response_type: type[Message]
    ) -> None:
        async def answered() -> Response:
            call = self._predictor.call(
                self._methods.call, hook, message, exchange, context=exchange
            )
            return _response(await call, response_type)

        exchange.answer_with(answered())

    def _answer_metadata(
        self,
        exchange: Exchange,
        message: Message,  # noqa: ARG002  the request is empty
        response_type: type[Message],
    ) -> None:
        if exchange.path == GRAPH_METADATA:
            raise SeldonMicroserviceException(
                "GraphMetadata not available on the Model level.",
                status_code=HTTPStatus.NOT_IMPLEMENTED,
            )
        exchange.respond(_response(json_to_seldon_model_metadata(self._metadata), response_type))


def _response(message: Any, response_type: type[Message]) -> Response:
    if not isinstance(message, response_type):
        name = response_type.DESCRIPTOR.full_name
        raise ModelError(f"expected a {name} of the model, got {type(message).__name__}")
    return Response(message.SerializeToString())
