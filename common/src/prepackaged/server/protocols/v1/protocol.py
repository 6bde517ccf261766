"""TensorFlow Serving's and KServe's V1 protocol as a `WireProtocol`."""

from functools import partial
from typing import Any
from urllib.parse import quote

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.model_health import ModelHealth
from prepackaged.server.protocols.prediction_routes import PredictionRoute
from prepackaged.server.protocols.row_answers import dump_outputs, dump_predictions
from prepackaged.server.protocols.v1.errors import MODELS, failure_naming
from prepackaged.server.protocols.v1.metadata import metadata
from prepackaged.server.protocols.v1.openapi import paths
from prepackaged.server.protocols.v1.requests import Reader, V1Request
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Handler, WireProtocol, asynchronous
from prepackaged.signature import declared_signature

PREFIX = "/v1"
Routes = dict[str, dict[str, Handler]]


def v1(
    predictor: Predictor, name: str, version: str, *, allows_origins: bool = True
) -> WireProtocol:
    """The protocol for a loaded model under this name and version."""
    handlers = Handlers(predictor, name, version)
    routes = handlers.routes()
    predictions = [path for path in routes if path.endswith(":predict")]
    return WireProtocol(
        prefix=PREFIX,
        http_failure=failure_naming(name, version),
        grpc_failure=grpc_failure,
        routes=routes,
        allows_origins=allows_origins,
        openapi=paths(name, declared_signature(predictor.model)),
        counted_as=dict.fromkeys(with_escapes(predictions), "predict"),
    )


def prediction_route(predictor: Predictor) -> PredictionRoute:
    """The handler of `:predict`."""
    return PredictionRoute(predictor, Reader(predictor.model), partial(_encoded, predictor.model))


class Handlers:
    """The handlers of one model's routes."""

    def __init__(self, predictor: Predictor, name: str, version: str) -> None:
        self._predictor = predictor
        self._health = ModelHealth(predictor)
        self._name = name
        self._version = version

    def routes(self) -> Routes:
        """All routes, by path and method."""
        model = f"{MODELS}/{self._name}"
        routes: Routes = {"/": {"GET": alive}, MODELS: {"GET": self.models}}
        predict, state = prediction_route(self._predictor), asynchronous(self.state)
        for path in (model, f"{model}/versions/{self._version}"):
            routes[path] = {"GET": state}
            routes[f"{path}/metadata"] = {"GET": self.metadata}
            routes[f"{path}:predict"] = {"POST": predict}
        return routes

    def models(self, exchange: Exchange) -> None:
        """List the models, as KServe does."""
        exchange.respond(_json({"models": [self._name]}))

    async def state(self, exchange: Exchange) -> Response:
        """Respond with the model's state, in the fields of KServe and of TensorFlow Serving."""
        await self._health.check(exchange)
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": self._version, "state": "AVAILABLE", "status": status}
        return _json({"name": self._name, "ready": True, "model_version_status": [version]})

    def metadata(self, exchange: Exchange) -> None:
        """Respond with the model's inputs and outputs."""
        exchange.respond(_json(metadata(self._name, self._version, self._predictor.model)))


def alive(exchange: Exchange) -> None:
    """Respond that the server is alive, as KServe's client expects."""
    exchange.respond(_json({"status": "alive"}))


def _encoded(model: Any, prediction: Prediction, request: V1Request) -> Response:
    if request.instances is None:
        return Response(b'{"outputs":%b}' % dump_outputs(prediction.value))
    predictions = dump_predictions(prediction.value, request.instances, model)
    return Response(b'{"predictions":%b}' % predictions)


def _json(value: Any) -> Response:
    return Response(dump(value))


def with_escapes(paths: list[str]) -> list[str]:
    """The paths, unescaped and escaped, for code that sees paths before they are decoded."""
    return [*paths, *map(quote, paths)]
