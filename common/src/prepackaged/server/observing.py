"""What becomes known of every answered request: counts, a line in the log, the end of its span."""

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version

from seldon_core.env_utils import get_image_name

from prepackaged.server.logging import AccessLog
from prepackaged.server.metrics import Metrics
from prepackaged.server.origin import Observer, Origin
from prepackaged.server.tracing import Tracing


def observer(
    metrics: Metrics, kinds: Mapping[str, str], log: AccessLog | None, tracing: Tracing | None
) -> Observer:
    """An observer that tells all of these; `kinds` are what paths are counted as."""

    def observe(origin: Origin, status: int, size: int, code: str = "") -> None:
        seconds = time.perf_counter() - origin.started
        kind = kinds.get(origin.path)
        metrics.observe_request(kind or "other", status, seconds)
        if log:
            log(origin, code or status, size, seconds)
        if tracing and kind:
            tracing.end(origin, status, code)

    return observe


def build_info() -> dict[str, str]:
    """What runs, as labels."""
    return {
        "version": version("prepackaged"),
        "image": get_image_name(""),
        "python": platform.python_version(),
    }
