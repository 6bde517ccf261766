"""MLflow's scoring protocol as a `WireProtocol`."""

from dataclasses import replace
from importlib.metadata import version

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.mlflow.answers import encoded
from prepackaged.server.protocols.mlflow.errors import http_failure
from prepackaged.server.protocols.mlflow.openapi import paths
from prepackaged.server.protocols.mlflow.requests import Reader
from prepackaged.server.protocols.model_health import ModelHealth
from prepackaged.server.protocols.not_ready import refusing
from prepackaged.server.protocols.prediction_routes import PredictionRoute
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import WireProtocol, asynchronous
from prepackaged.signature import declared_signature

INVOCATIONS = "/invocations"
HEALTH = ("/ping", "/health")
VERSION = "/version"


def mlflow(predictor: Predictor, *, allows_origins: bool = True) -> WireProtocol:
    """The protocol for a loaded model."""
    health = ModelHealth(predictor)

    async def ping(exchange: Exchange) -> Response:
        await health.check(exchange)
        return Response(b"\n")

    predict = PredictionRoute(predictor, Reader(predictor.model), encoded)
    return WireProtocol(
        prefix=INVOCATIONS,
        http_failure=http_failure,
        grpc_failure=grpc_failure,
        routes={
            INVOCATIONS: {"POST": predict},
            **{path: {"GET": asynchronous(ping)} for path in HEALTH},
            VERSION: {"GET": tell_version},
        },
        allows_origins=allows_origins,
        openapi=paths(declared_signature(predictor.model)),
        counted_as={INVOCATIONS: "predict"},
    )


def not_ready(why: str) -> WireProtocol:
    """The protocol while the model is not loaded: only the version is answered, all else is 503."""
    refused = refusing(INVOCATIONS, http_failure, grpc_failure, why, *HEALTH)
    return replace(refused, routes={**refused.routes, VERSION: {"GET": tell_version}})


def tell_version(exchange: Exchange) -> None:
    """Respond with the server's version as text."""
    text = version("prepackaged").encode()
    exchange.respond(Response(text, content_type="text/html; charset=utf-8"))
