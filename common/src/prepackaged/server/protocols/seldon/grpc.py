"""Seldon's seven services: messages in, the dispatcher's answers or errors out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto import prediction_pb2
from seldon_core.utils import json_to_seldon_model_metadata

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.inference.predictor import Dispatcher, error_for_client
from prepackaged.server.protocols.seldon import protobuf_codec
from prepackaged.server.protocols.seldon.json_codec import Prediction, Request
from prepackaged.server.telemetry.context import CLIENT_WENT_AWAY, Observer, RequestContext
from prepackaged.server.transport.grpc.calls import Call, CallError, Method
from prepackaged.server.transport.grpc.status import code_of, details_of, status_of

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
COUNTED_AS = {"Predict": "predict", "SendFeedback": "feedback", **HOOKS}

Answering = Callable[[Any, RequestContext], Awaitable[Any]]


def path_of(method: MethodDescriptor) -> str:
    """The path of a call."""
    return f"/{method.containing_service.full_name}/{method.name}"


METHOD_OF = {
    path_of(method): COUNTED_AS[method.name]
    for service in SERVICES
    for method in service.methods
    if method.name in COUNTED_AS
}


@dataclass(slots=True)
class Exchange:
    """One call of a known method, and who is told of its end."""

    call: Call
    context: RequestContext
    answer_type: type[Message]
    observe: Observer
    is_noted: bool = False

    def answer(self, message: Any) -> None:
        """Give the answer. Raises what is wrong with it."""
        if not isinstance(message, self.answer_type):
            name = self.answer_type.DESCRIPTOR.full_name
            raise ModelError(f"expected a {name} of the model, got {type(message).__name__}")
        body = message.SerializeToString()
        self.call.check_size(body)
        self._note(HTTPStatus.OK, "OK", len(body))
        self.call.answer(body)

    def fail(self, error: BaseException) -> None:
        """Tell an error."""
        if isinstance(error, CallError):
            self._note(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.status.name)
            self.call.fail(error.status, str(error))
            return
        told = error_for_client(error)
        status = status_of(told)
        self._note(status, code_of(status).name)
        self.call.fail(code_of(status), details_of(told))

    def give_up(self) -> None:
        """Note that the client does not wait any more."""
        self._note(CLIENT_WENT_AWAY, "CANCELLED")

    def _note(self, status: int, code: str, size: int = 0) -> None:
        if not self.is_noted:  # as it is where a client leaves while its answer is on the way
            self.is_noted = True
            self.observe(self.context, status, size, code)


class Services:
    """The calls of all services, answered by one dispatcher."""

    def __init__(self, dispatcher: Dispatcher, observe: Observer) -> None:
        self._dispatcher = dispatcher
        self._observe = observe
        # By a call's name in the services.
        self._answering: dict[str, Answering] = {
            "SendFeedback": partial(dispatcher.call, "send_feedback"),
            "Metadata": self._metadata,
            "ModelMetadata": self._metadata,
            "GraphMetadata": self._graph_metadata,
            "Predict": partial(dispatcher.call, "predict"),
        }
        for name, hook in HOOKS.items():
            self._answering[name] = partial(dispatcher.call, hook)
        self._tasks: set[asyncio.Task[None]] = set()

    def methods(self) -> dict[bytes, Method]:
        """What answers the calls, by path."""
        return {
            path_of(method).encode(): Method(self._taking(method))
            for service in SERVICES
            for method in service.methods
        }

    def _taking(self, method: MethodDescriptor) -> Callable[[Call, bytes | None], None]:
        answering, path = self._answering[method.name], path_of(method)
        is_short = method.name == "Predict" and not self._dispatcher.is_raw_over_grpc
        begin = self._predict if is_short else partial(self._start, answering)
        question_type = GetMessageClass(method.input_type)
        answer_type = GetMessageClass(method.output_type)

        def take(call: Call, body: bytes | None) -> None:
            context = RequestContext("gRPC", path, call.head.fields)
            exchange = Exchange(call, context, answer_type, self._observe)
            try:
                call.cancel = begin(exchange, _read(question_type, body or b""))
            except Exception as error:
                exchange.fail(error)

        return take

    def _predict(self, exchange: Exchange, message: Any) -> Callable[[], object]:
        """Queue a prediction; what is given cancels it."""
        request = protobuf_codec.decode(message)
        request.set_context(exchange.context)
        work = self._dispatcher.predict(request, partial(_finish, exchange, request))

        def cancel() -> None:
            exchange.give_up()
            work.cancel()

        return cancel

    def _start(
        self, answering: Answering, exchange: Exchange, message: Any
    ) -> Callable[[], object]:
        """Let a task answer; what is given cancels it."""
        task = asyncio.ensure_future(self._run(answering, exchange, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task.cancel

    async def _run(self, answering: Answering, exchange: Exchange, message: Any) -> None:
        try:
            exchange.answer(await answering(message, exchange.context))
        except asyncio.CancelledError:
            exchange.give_up()
            raise
        except BaseException as error:  # SystemExit of the model's too
            exchange.fail(error)

    async def _metadata(self, message: Message, context: RequestContext) -> Any:  # noqa: ARG002  a call's shape
        return json_to_seldon_model_metadata(self._dispatcher.metadata)

    async def _graph_metadata(self, message: Message, context: RequestContext) -> Any:  # noqa: ARG002  a call's shape
        raise SeldonMicroserviceException(
            "GraphMetadata not available on the Model level.",
            status_code=HTTPStatus.NOT_IMPLEMENTED,
        )


def _finish(exchange: Exchange, request: Request, outcome: Prediction | BaseException) -> None:
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        exchange.answer(protobuf_codec.encode(outcome, request))
    except BaseException as error:
        exchange.fail(error)


def _read(expected: type[Message], body: bytes) -> Message:
    try:
        return expected.FromString(body)
    except DecodeError as error:
        raise ClientError(f"expected a {expected.DESCRIPTOR.full_name}: {error}") from error
