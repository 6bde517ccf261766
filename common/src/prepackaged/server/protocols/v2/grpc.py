"""The calls of `inference.GRPCInferenceService`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from prepackaged.server.inference.predictor import HangingError
from prepackaged.server.protocols.not_ready import Hangs
from prepackaged.server.protocols.v2 import protobuf_codec
from prepackaged.server.protocols.v2.descriptors import CLASSES, METHODS, SERVICE
from prepackaged.server.protocols.v2.messages import INFER, infer_message_of, message_of
from prepackaged.server.protocols.v2.metadata import repository_index
from prepackaged.server.protocols.v2.outputs import Output
from prepackaged.server.protocols.v2.requests import InferRequest, memory_of_elements
from prepackaged.server.protocols.v2.served import Name, ServedModel
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Handler

ALL_METHODS = {f"/{SERVICE}/{name}": name for name in METHODS}
COUNTED_AS = {path: "infer" for path, name in ALL_METHODS.items() if name == INFER}

#: Returns the fields of a call's response to a message.
Answer = Callable[[Exchange, Any], Awaitable[dict[str, Any]]]


class Grpc:
    """The handlers of the calls; `about` describes the server."""

    def __init__(
        self, served: ServedModel, metadata: dict[str, Any], about: dict[str, Any]
    ) -> None:
        self._served = served
        self._about = about
        self._metadata = {key: each for key, each in metadata.items() if key != "parameters"}

    def methods(self) -> dict[str, Handler]:
        """The handlers of the calls, by path."""
        answers: dict[str, Answer] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "RepositoryIndex": self._index,
        }
        table = {f"/{SERVICE}/{name}": answering(name, each) for name, each in answers.items()}
        return {**table, f"/{SERVICE}/{INFER}": self.infer}

    def infer(self, exchange: Exchange) -> None:
        """Queue a prediction."""
        queue = partial(self._served.infer, exchange, self._encoded)
        if len(exchange.body) > LARGE:
            exchange.prepare(partial(self._read_large, exchange), queue)
        else:
            queue(self._request(infer_message_of(exchange)))

    def _read_large(self, exchange: Exchange) -> InferRequest:
        exchange.hold(protobuf_codec.memory_of_body(exchange.body))
        message = infer_message_of(exchange)
        exchange.hold(protobuf_codec.memory_of_values(message))
        return self._request(message, exchange)

    def _request(self, message: Any, large: Exchange | None = None) -> InferRequest:
        self._served.name.check(message.model_name, message.model_version)
        decoded = protobuf_codec.decode(message)
        if large is not None:
            large.hold(memory_of_elements(decoded.inputs))
        request = self._served.request(decoded)
        if message.raw_input_contents:
            request.is_binary = True
        return request

    def _encoded(
        self, request: InferRequest, outputs: Sequence[Output], tags: dict[str, Any]
    ) -> Response:
        return Response(protobuf_codec.encode(self._served.name, request, outputs, tags))

    async def _live(self, exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG002
        self._served.check_live()
        return {"live": True}

    async def _ready(self, exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"ready": await self._served.is_ready(exchange)}

    async def _model_ready(self, exchange: Exchange, message: Any) -> dict[str, Any]:
        is_ours = self._served.name.is_ours(message.name, message.version)
        return {"ready": is_ours and await self._served.is_ready(exchange)}

    async def _server_metadata(self, exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG002
        return self._about

    async def _model_metadata(self, exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG002
        self._served.name.check(message.name, message.version)
        return self._metadata

    async def _index(self, exchange: Exchange, message: Any) -> dict[str, Any]:
        is_ready = await self._served.is_ready(exchange)
        listed = repository_index(self._served.name, is_ready=is_ready)
        return {"models": listed if is_ready or not message.ready else []}


def answering(name: str, answer: Answer) -> Handler:
    """The handler of a call whose response has these fields."""

    async def answered(exchange: Exchange) -> Response:
        fields = await answer(exchange, message_of(exchange, name))
        return Response(CLASSES[f"{name}Response"](**fields).SerializeToString())

    return lambda exchange: exchange.answer_with(answered(exchange))


def early_methods(
    refuse: Handler, name: Name, about: dict[str, Any], hangs: Hangs
) -> dict[str, Handler]:
    """The handlers while the model is not loaded: live, not ready; `refuse` for other calls.

    `about` describes the server.
    """

    async def live(exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG001
        if hangs():
            raise HangingError
        return {"live": True}

    async def metadata(exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG001
        return about

    async def unready(exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG001
        return {"ready": False}

    async def index(exchange: Exchange, message: Any) -> dict[str, Any]:  # noqa: ARG001
        return {"models": [] if message.ready else repository_index(name, is_ready=False)}

    return {
        **dict.fromkeys(ALL_METHODS, refuse),
        f"/{SERVICE}/ServerLive": answering("ServerLive", live),
        f"/{SERVICE}/ServerReady": answering("ServerReady", unready),
        f"/{SERVICE}/ModelReady": answering("ModelReady", unready),
        f"/{SERVICE}/ServerMetadata": answering("ServerMetadata", metadata),
        f"/{SERVICE}/RepositoryIndex": answering("RepositoryIndex", index),
    }
