"""The served model with its name, and inference over REST and gRPC."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from prepackaged.errors import ClientError
from prepackaged.server.inference.hooks import find_hook
from prepackaged.server.inference.predictor import Done, HangingError, Predictor
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.inference.work import Work
from prepackaged.server.protocols.results import is_large
from prepackaged.server.protocols.v2.inputs import Inputs
from prepackaged.server.protocols.v2.outputs import Output, Outputs
from prepackaged.server.protocols.v2.requests import InferRequest, Message, request_of
from prepackaged.server.transport.exchange import Exchange, Response, TransportError

NO_PREDICT = "this model has no predict: it only supports Seldon's protocol"

#: Creates the response from a request, its outputs and the model's tags.
Encode = Callable[[InferRequest, Sequence[Output], dict[str, Any]], Response]


@dataclass(frozen=True)
class Name:
    """The name and version of the served model."""

    model: str
    version: str = "1"

    def is_ours(self, model: str, version: str = "") -> bool:
        """Whether these are the served model's name and version; an empty version is allowed."""
        return model == self.model and version in ("", self.version)

    def check(self, model: str, version: str = "") -> None:
        """Raise `TransportError` 404 for another model or version; an empty version is allowed."""
        if model != self.model:
            raise unknown_model(model, self.model)
        if version not in ("", self.version):
            raise TransportError(
                404, f"model {self.model!r} has version {self.version!r} here, not {cut(version)!r}"
            )


def unknown_model(asked: str, served: str) -> TransportError:
    """The error for an unknown model."""
    return TransportError(404, f"there is no model {cut(asked)!r} here; {served!r} is served")


def cut(name: str) -> str:
    """A name of limited length, for error messages."""
    return name if len(name) <= 60 else f"{name[:60]}..."


class ServedModel:
    """A loaded model with its name.

    `is_ending` returns whether the server is shutting down; then it is no longer ready, although it
    still answers requests.
    """

    def __init__(self, predictor: Predictor, name: Name, is_ending: Callable[[], bool]) -> None:
        self.predictor = predictor
        self.name = name
        self.inputs = Inputs(predictor.model)
        self.outputs = Outputs(predictor.model)
        self._is_ending = is_ending
        self._has_predict = find_hook(predictor.model, "predict") is not None
        self._health = find_hook(predictor.model, "health_status")

    def check_live(self) -> None:
        """Raise `HangingError` if a call to the model hangs."""
        if self.predictor.hangs:
            raise HangingError

    async def is_ready(self, exchange: Exchange) -> bool:
        """Whether the model is ready and the server is not shutting down."""
        if self._is_ending() or self.predictor.hangs:
            return False
        if self._health is None:
            return True
        try:
            await self.predictor.health(self._health, context=exchange)
        except Exception:  # any exception means that the model is not healthy
            return False
        return True

    def request(self, message: Message) -> InferRequest:
        """Create the request from a message. Raises `ClientError` for any error in it."""
        return request_of(message, self.inputs)

    def infer(self, exchange: Exchange, encode: Encode, request: InferRequest) -> None:
        """Queue the predictions of a request; `encode` creates the response.

        Raises `TransportError` 501 for a model that has only Seldon's raw hooks.
        """
        if not self._has_predict:
            raise TransportError(501, NO_PREDICT)
        if request.seconds:
            exchange.expire_after(request.seconds, "the timeout of the request")
        methods = self.outputs.methods(request)
        if len(methods) > 1:
            Several(self, exchange, encode, request, methods).start()
            return
        method = methods[0]
        request.parameters = None if method is None else {"method": method}
        request.set_context(exchange)
        done = partial(self._finish, exchange, encode, request, method)
        exchange.on_cancel = self.queue(request, done).cancel

    def queue(self, request: InferRequest, done: Done) -> Work:
        """Queue a prediction. Raises the exceptions of `Predictor.predict`."""
        try:
            return self.predictor.predict(request, done)
        except ClientError as error:
            raise request.labelled(error) from error

    def _finish(
        self,
        exchange: Exchange,
        encode: Encode,
        request: InferRequest,
        method: str | None,
        outcome: Prediction | BaseException,
    ) -> None:
        if isinstance(outcome, BaseException):
            exchange.fail(request.labelled(outcome))
        else:
            self.respond(exchange, encode, request, {method: outcome})

    def respond(
        self,
        exchange: Exchange,
        encode: Encode,
        request: InferRequest,
        predictions: dict[str | None, Prediction],
    ) -> None:
        """Respond with predictions by method; large ones are encoded on another thread."""
        try:
            write = partial(self._written, encode, request, predictions)
            for each in predictions.values():
                if is_large(each.value, exchange):
                    exchange.prepare(write, exchange.respond)
                    return
            response = write()
        except BaseException as error:
            exchange.fail(error)
        else:
            exchange.respond(response)

    def _written(
        self,
        encode: Encode,
        request: InferRequest,
        predictions: dict[str | None, Prediction],
    ) -> Response:
        outputs = self.outputs.selected(request, predictions)
        tags: dict[str, Any] = {}
        for each in predictions.values():
            if each.tags:
                tags |= each.tags
        return encode(request, outputs, tags)


class Several:
    """The predictions of a request that chooses several methods of the model."""

    def __init__(
        self,
        served: ServedModel,
        exchange: Exchange,
        encode: Encode,
        request: InferRequest,
        methods: Sequence[str | None],
    ) -> None:
        self._served = served
        self._exchange = exchange
        self._encode = encode
        self._request = request
        self._methods = methods
        self._predictions: dict[str | None, Prediction] = {}
        self._works: list[Work] = []

    def start(self) -> None:
        """Queue all predictions or none. Raises the exceptions of `Predictor.predict`."""
        self._exchange.on_cancel = self._cancel
        try:
            for method in self._methods:
                parameters = None if method is None else {"method": method}
                request = replace(self._request, parameters=parameters)
                request.set_context(self._exchange)
                done = partial(self._finish, method)
                self._works.append(self._served.queue(request, done))
        except BaseException:
            self._cancel()
            raise

    def _cancel(self) -> None:
        """Cancel the predictions, because no client waits for them any more."""
        for work in self._works:
            work.cancel()

    def _finish(self, method: str | None, outcome: Prediction | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self._exchange.fail(self._request.labelled(outcome))
            self._cancel()
            return
        self._predictions[method] = outcome
        if len(self._predictions) == len(self._methods):
            served, exchange, predictions = self._served, self._exchange, self._predictions
            served.respond(exchange, self._encode, self._request, predictions)
