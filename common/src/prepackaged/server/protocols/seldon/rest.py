"""Seldon's REST routes: pass requests to the model's hooks, and return their results as JSON."""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any

from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.utils import json_to_feedback, seldon_message_to_json

from prepackaged.arrays import UnequalLengthsError
from prepackaged.errors import ModelError
from prepackaged.examples import example_request
from prepackaged.server.inference.hooks import has_any_hook
from prepackaged.server.inference.predictor import HangingError, Predictor
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.errors import naming_the_input
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.results import finish
from prepackaged.server.protocols.seldon.json_codec import (
    Request,
    UnknownMessageError,
    decode,
    encode,
)
from prepackaged.server.protocols.seldon.messages import read_decoded, read_message, read_payload
from prepackaged.server.protocols.seldon.methods import Methods, Unit, asked_parameters
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Handler, asynchronous
from prepackaged.signature import declared_signature

PREDICTIONS = ("/predict", "/api/v1.0/predictions", "/api/v0.1/predictions")
FEEDBACK = ("/send-feedback", "/api/v1.0/feedback", "/api/v0.1/feedback")
METHODS = {
    "/transform-input": "transform_input",
    "/transform-output": "transform_output",
    "/route": "route",
    "/aggregate": "aggregate",
}
COUNTED_AS = {
    **dict.fromkeys(PREDICTIONS, "predict"),
    **dict.fromkeys(FEEDBACK, "feedback"),
    **METHODS,
}


Routes = dict[str, dict[str, Handler]]


class Rest:
    """The handlers of Seldon's REST routes.

    `metadata` is the response to `GET /metadata`, None if the model's own violates the schema. With
    `passes_payload`, bodies of predictions are passed to the model and back unchanged.
    """

    def __init__(
        self,
        predictor: Predictor,
        methods: Methods,
        unit: Unit,
        metadata: dict[str, Any] | None,
        *,
        passes_payload: bool,
    ) -> None:
        self._predictor = predictor
        self._methods = methods
        self._unit = unit
        self._metadata = metadata
        self._takes_lists = bool(getattr(predictor.model, "takes_lists", False))
        self._example = example_request(declared_signature(predictor.model))
        self._predict: Handler = self.predict
        if has_any_hook(predictor.model, "predict_raw", "predict_rest"):
            self._predict = asynchronous(self.predict_raw)
        if passes_payload:
            self._predict = asynchronous(self.predict_payload)

    def routes(self) -> Routes:
        """All routes, by path and method (reference: seldon-core 1.17.1, wrapper.py)."""
        health, feedback = asynchronous(self.health), asynchronous(self.send_feedback)
        table: Routes = {
            "/health/ping": {"GET": self.ping},
            "/health/status": {"GET": health},
            "/api/v1.0/health/status": {"GET": health},
            "/metadata": {"GET": self.metadata},
            "/api/v1.0/metadata": {"GET": self.metadata},
            "/seldon.json": {"GET": openapi},
        }
        for path, method in METHODS.items():
            call = asynchronous(partial(self.call, method))
            table[path] = {"GET": call, "POST": call}
        table |= {path: {"POST": self._predict} for path in PREDICTIONS}
        table |= {path: {"POST": feedback} for path in FEEDBACK}
        for path in (PREDICTIONS[0], FEEDBACK[0]):
            table[path]["GET"] = table[path]["POST"]
        return table

    def predict(self, exchange: Exchange) -> None:
        """Queue a prediction."""
        if len(exchange.body) > LARGE:
            exchange.prepare(partial(self._read, exchange), partial(self._queue, exchange))
        else:
            self._queue(exchange, self._read(exchange))

    def _read(self, exchange: Exchange) -> Request:
        message = read_decoded(exchange, as_lists=self._takes_lists)
        try:
            return decode(message, as_lists=self._takes_lists)
        except UnequalLengthsError as error:
            raise naming_the_input(self._predictor.model, error) from None
        except UnknownMessageError as error:
            raise UnknownMessageError(error.got, self._example) from None

    def _queue(self, exchange: Exchange, request: Request) -> None:
        if request.meta:
            request.parameters = asked_parameters(request, self._predictor.model)
        request.set_context(exchange)
        done = partial(finish, partial(self._encoded, request), exchange)
        exchange.on_cancel = self._predictor.predict(request, done).cancel

    def _encoded(self, request: Request, prediction: Prediction) -> Response:
        return Response(encode(prediction, request, self._unit.path))

    async def predict_raw(self, exchange: Exchange) -> Response:
        """Call the model's raw hook with a message."""
        return _raw(await self._call("predict", await _read(read_message, exchange), exchange))

    async def predict_payload(self, exchange: Exchange) -> Response:
        """Call the model's raw hook with the unchanged body."""
        answer = await self._call("predict", await _read(read_payload, exchange), exchange)
        if isinstance(answer, str):
            answer = answer.encode()
        return Response(answer) if isinstance(answer, bytes) else _raw(answer)

    async def call(self, method: str, exchange: Exchange) -> Response:
        """Call the hook of another method with a message."""
        return _json(await self._call(method, await _read(read_message, exchange), exchange))

    async def send_feedback(self, exchange: Exchange) -> Response:
        """Pass feedback to the model."""
        feedback = await _read(_read_feedback, exchange)
        answer = await self._call("send_feedback", feedback, exchange)
        return _json(seldon_message_to_json(answer))

    async def health(self, exchange: Exchange) -> Response:
        """Respond with the model's health."""
        if not self._methods.has_health:
            return _json(self._methods.health())
        return _json(await self._predictor.health(self._methods.health, context=exchange))

    def ping(self, exchange: Exchange) -> None:
        """Respond that the process is alive. Raises `HangingError` if the model hangs."""
        if self._predictor.hangs:
            raise HangingError
        ping(exchange)

    def metadata(self, exchange: Exchange) -> None:
        """Respond with the model's metadata."""
        if self._metadata is None:
            raise SeldonMicroserviceException(
                "Model metadata unavailable", status_code=500, reason="MICROSERVICE_BAD_METADATA"
            )
        exchange.respond(_json(self._metadata))

    def _call(self, method: str, message: Any, exchange: Exchange) -> Awaitable[Any]:
        call: Callable[..., Any] = self._methods.call
        return self._predictor.call(call, method, message, exchange, context=exchange)


def _read_feedback(exchange: Exchange) -> Any:
    return json_to_feedback(read_message(exchange))


async def _read(read: Callable[[Exchange], Any], exchange: Exchange) -> Any:
    """Call `read` with a request; for a large body, on another thread."""
    if len(exchange.body) <= LARGE:
        return read(exchange)
    return await exchange.prepared(partial(read, exchange))


def ping(exchange: Exchange) -> None:
    """Respond that the process is alive."""
    exchange.respond(Response(b"pong", content_type="text/html; charset=utf-8"))


def openapi(exchange: Exchange) -> None:
    """Respond with seldon-core's own description of its routes."""
    exchange.respond(Response(files("seldon_core").joinpath("openapi/seldon.json").read_bytes()))


def _json(message: Any) -> Response:
    if isinstance(message, bytes):
        return Response(message)  # encoded already
    return Response(dump(message) + b"\n")


def _raw(message: Any) -> Response:
    """The response with a raw result; its `status.code`, if any, is the HTTP status."""
    status = message.get("status") if isinstance(message, dict) else None
    code = status.get("code", 200) if isinstance(status, dict) else 200
    if not str(code).isdecimal() or int(code) not in range(200, 600):
        raise ModelError(f"expected an HTTP status as status.code of the answer, got {code!r}")
    return Response(_json(message).body, status=int(code))
