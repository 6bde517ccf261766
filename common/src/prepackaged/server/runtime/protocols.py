"""The server's protocols other than Seldon's."""

from collections.abc import Callable

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.errors import error_failure, grpc_failure
from prepackaged.server.protocols.mlflow.protocol import mlflow
from prepackaged.server.protocols.mlflow.protocol import not_ready as mlflow_not_ready
from prepackaged.server.protocols.not_ready import Hangs, never, refusing
from prepackaged.server.protocols.seldon.grpc import SERVICE_NAMES
from prepackaged.server.protocols.v1.protocol import PREFIX, v1
from prepackaged.server.protocols.v1.vertex import vertex
from prepackaged.server.protocols.v2.descriptors import SERVICE as V2_SERVICE
from prepackaged.server.protocols.v2.protocol import not_ready as v2_not_ready
from prepackaged.server.protocols.v2.protocol import v2
from prepackaged.server.protocols.v2.repository import Change
from prepackaged.server.protocols.v2.served import Name
from prepackaged.server.runtime.config import Config
from prepackaged.server.transport.routing import WireProtocol

SERVICES = (*SERVICE_NAMES, V2_SERVICE)  # the gRPC services besides health and reflection


def others(
    predictor: Predictor,
    config: Config,
    is_ending: Callable[[], bool],
    change: Change | None = None,
) -> list[WireProtocol]:
    """The protocols for a loaded model; `is_ending` returns whether the server is shutting down.

    `change` loads and unloads the model on a client's request.
    """
    name, version = config.model_name, config.model_version
    named = Name(name, version)
    return [
        v2(predictor, named, is_ending=is_ending, change=change, allows_origins=config.cors),
        v1(predictor, name, version, allows_origins=config.cors),
        mlflow(predictor, allows_origins=config.cors),
    ]


def of_platform(predictor: Predictor, config: Config) -> list[WireProtocol]:
    """Protocols at paths that a platform chooses; they come first, because any path is allowed."""
    chosen = config.predict_route, config.health_route
    return [vertex(predictor, *chosen)] if any(chosen) else []


def others_not_ready(
    why: str, config: Config, change: Change | None = None, hangs: Hangs = never
) -> list[WireProtocol]:
    """The protocols while the model is not loaded; `change` loads it on a client's request.

    `hangs` returns whether a call to the unloaded model hangs.
    """
    name = Name(config.model_name, config.model_version)
    return [
        *platform_not_ready(why, config),
        refusing(PREFIX, error_failure, grpc_failure, why),
        mlflow_not_ready(why),
        v2_not_ready(name, why, change, hangs),
    ]


def platform_not_ready(why: str, config: Config) -> list[WireProtocol]:
    """The protocols of `of_platform` while the model is not loaded."""
    health = [config.health_route] if config.health_route else []
    prefix = config.predict_route or config.health_route
    return [refusing(prefix, error_failure, grpc_failure, why, *health)] if prefix else []
