"""Read the environment variables of KServe, SageMaker and Vertex AI.

References: MLServer's settings, which Seldon's operator sets for its v2 protocol; SageMaker, "Use
Your Own Inference Code"; Vertex AI, "Custom container requirements for prediction".
"""

import logging
from collections.abc import Mapping
from typing import Any

from prepackaged.errors import DeploymentError
from prepackaged.server.runtime.settings import expected, integer

logger = logging.getLogger(__name__)

SELDON_V2 = {"PREDICTIVE_UNIT_ID", "MLSERVER_MODEL_VERSION"}
ROUTES = {"predict_route": "AIP_PREDICT_ROUTE", "health_route": "AIP_HEALTH_ROUTE"}
MAX_MESSAGE = "MLSERVER_GRPC_MAX_MESSAGE_LENGTH"
# The settings of MLServer that this server reads; the log lists the others as ignored.
MLSERVER = {
    MAX_MESSAGE,
    "MLSERVER_HTTP_PORT",
    "MLSERVER_GRPC_PORT",
    "MLSERVER_METRICS_PORT",
    "MLSERVER_METRICS_ENDPOINT",
    "MLSERVER_MODEL_NAME",
    "MLSERVER_MODEL_VERSION",
    "MLSERVER_MODEL_URI",
}


def read_platform(variables: Mapping[str, str], model_dir: str | None) -> dict[str, Any]:
    """The Config fields that a platform sets; `model_dir` is the platform's model directory.

    Raises `DeploymentError` for a setting that the server does not support.
    """
    if model_dir and model_dir == variables.get("AIP_STORAGE_URI") and "://" in model_dir:
        raise DeploymentError(
            f"AIP_STORAGE_URI: expected a directory, got {model_dir[:200]}: this server downloads"
            " nothing, so build an image that has the model in /mnt/models, and import it into"
            " Vertex AI without an artifact URI"
        )
    _tell_of_ignored(variables)
    routes = {field: _route(variables, name) for field, name in ROUTES.items()}
    return {"model_dir": model_dir, **routes, **_max_message(variables)}


def opens_early(variables: Mapping[str, str]) -> str:
    """Whether the ports open before the model is loaded, as the text of a switch.

    Vertex AI requires an open port after 40 seconds. Seldon's operator requires it after 35 seconds
    for its v2 protocol, the only one for which it sets both variables of SELDON_V2; the probes of
    v2 distinguish live from ready. For its v1 protocol, an open port means ready.
    """
    return str("AIP_HTTP_PORT" in variables or variables.keys() >= SELDON_V2)


def _route(variables: Mapping[str, str], name: str) -> str:
    route = variables.get(name, "").strip()
    if route and not route.startswith("/"):
        raise expected("a path such as /predict", route, name)
    return route


def _max_message(variables: Mapping[str, str]) -> dict[str, int | None]:
    """The field for MLServer's message limit in bytes; 0 and gRPC's -1 mean no limit."""
    if MAX_MESSAGE not in variables:
        return {}
    return {"max_message": max(integer(variables[MAX_MESSAGE], MAX_MESSAGE, -1), 0) or None}


def _tell_of_ignored(variables: Mapping[str, str]) -> None:
    ignored = sorted(each for each in variables if each.startswith("MLSERVER_"))
    if ignored := [name for name in ignored if name not in MLSERVER]:
        logger.info("Ignored: %s", ", ".join(ignored))
