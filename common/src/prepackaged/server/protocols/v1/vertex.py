"""Vertex AI's custom containers: V1's predictions at paths that the platform chooses.

Reference: Vertex AI, "Custom container requirements for prediction".
"""

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.errors import error_failure, grpc_failure
from prepackaged.server.protocols.model_health import ModelHealth
from prepackaged.server.protocols.v1.protocol import Routes, prediction_route, with_escapes
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import WireProtocol, asynchronous


def vertex(predictor: Predictor, predict_route: str, health_route: str) -> WireProtocol:
    """The protocol for a loaded model; an empty path is not served."""
    health = ModelHealth(predictor)

    async def state(exchange: Exchange) -> Response:
        await health.check(exchange)
        return Response(b'{"ready":true}')

    routes: Routes = {}
    if health_route:
        routes[health_route] = {"GET": asynchronous(state)}
    if predict_route:
        routes[predict_route] = {"POST": prediction_route(predictor)}
    return WireProtocol(
        prefix=predict_route or health_route,
        http_failure=error_failure,
        grpc_failure=grpc_failure,
        routes=routes,
        counted_as=dict.fromkeys(with_escapes([predict_route]), "predict"),
    )
