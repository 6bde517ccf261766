"""MLflow's scoring protocol as a `WireProtocol`."""

from importlib.metadata import version

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.mlflow.answers import encoded
from prepackaged.server.protocols.mlflow.errors import http_failure
from prepackaged.server.protocols.mlflow.openapi import paths
from prepackaged.server.protocols.mlflow.requests import Reader
from prepackaged.server.protocols.model_health import ModelHealth
from prepackaged.server.protocols.prediction_routes import PredictionRoute
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import WireProtocol, asynchronous
from prepackaged.signature import declared_signature

INVOCATIONS = "/invocations"


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
            "/ping": {"GET": asynchronous(ping)},
            "/health": {"GET": asynchronous(ping)},
            "/version": {"GET": tell_version},
        },
        allows_origins=allows_origins,
        openapi=paths(declared_signature(predictor.model)),
        counted_as={INVOCATIONS: "predict"},
    )


def tell_version(exchange: Exchange) -> None:
    """Respond with the server's version as text."""
    text = version("prepackaged").encode()
    exchange.respond(Response(text, content_type="text/html; charset=utf-8"))
