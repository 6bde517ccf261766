"""Per-request telemetry: metrics, a line in the access log, the end of its span."""

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from prepackaged.provenance import framework_of
from prepackaged.server.telemetry.access_log import AccessLog
from prepackaged.server.telemetry.context import Observer, RequestContext
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.server.telemetry.tracing import Tracing


def observer(
    metrics: Metrics, kinds: Mapping[str, str], log: AccessLog | None, tracing: Tracing | None
) -> Observer:
    """An observer that passes requests to all of these; `kinds` are the metrics' names of paths."""

    def observe(context: RequestContext, status: int, size: int, code: str = "") -> None:
        seconds = time.perf_counter() - context.started
        kind = kinds.get(context.path)
        metrics.observe_request(kind or "other", status, seconds)
        if log:
            log(context, code or status, size, seconds)
        if tracing and kind:
            tracing.end(context, status, code)

    return observe


def build_info(image: str, model: Any) -> dict[str, str]:
    """The labels of `prepackaged_build_info`."""
    framework, framework_version = framework_of(model)
    return {
        "version": version("prepackaged"),
        "image": image,
        "framework": framework,
        "framework_version": framework_version,
        "python": platform.python_version(),
    }
