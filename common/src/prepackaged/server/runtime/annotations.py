"""Read the limits for clients from the pod's annotations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prepackaged.server.runtime.settings import integer, number

ANNOTATIONS = Path("/etc/podinfo/annotations")
MAX_MESSAGE = "seldon.io/grpc-max-message-size"


def read_annotations(file: Path = ANNOTATIONS) -> dict[str, str]:
    """The pod's annotations, which Kubernetes writes into a file as lines of `key="value"`."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip().strip('"') for key, equals, value in pairs if equals}


def read_limits_of_pod(annotations: Mapping[str, str]) -> dict[str, Any]:
    """The Config fields that annotations set. Raises `DeploymentError` for a wrong value."""
    return {
        "timeout": _milliseconds(annotations, "seldon.io/rest-timeout"),
        "grpc_timeout": _milliseconds(annotations, "seldon.io/grpc-timeout"),
        **_max_message(annotations),
    }


def _milliseconds(annotations: Mapping[str, str], key: str) -> float | None:
    """The annotation's milliseconds in seconds; None (no limit) if it is missing or 0."""
    text = annotations.get(key, "").strip() or "0"
    return number(text, f"the annotation {key}", "milliseconds") / 1000 or None


def _max_message(annotations: Mapping[str, str]) -> dict[str, int | None]:
    """The field for the limit that the annotation sets; 0 and gRPC's -1 mean no limit."""
    text = annotations.get(MAX_MESSAGE, "").strip()
    if not text:
        return {}
    return {"max_message": max(integer(text, f"the annotation {MAX_MESSAGE}", -1), 0) or None}
