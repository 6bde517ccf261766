"""Report which model is served: in the log, metrics and metadata and, if set, in responses."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from seldon_core.user_model import SeldonNotImplementedError

from prepackaged.provenance import framework_of, model_digest
from prepackaged.server.inference.hooks import find_hook
from prepackaged.server.runtime.config import Config
from prepackaged.server.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

LEAST_PRIORITY = 19  # the niceness of the thread that computes the digest
KEY = "model_digest"


def tag_answers(model: Any, config: Config) -> str:
    """Add digest, framework and image to the model's tags, and return the digest."""
    name, version = framework_of(model)
    digest = model_digest(model)
    facts = {KEY: digest, "framework": f"{name} {version}".strip()}
    tags = {key: value for key, value in {**facts, "image": config.image}.items() if value}
    own = find_hook(model, "tags")

    def with_provenance() -> dict[str, Any]:
        with suppress(SeldonNotImplementedError):
            return {**tags, **((own() if own else None) or {})}
        return tags

    model.tags = with_provenance
    return digest


def find_digest(model: Any, then: Callable[[str], None], known: str = "") -> None:
    """Call `then` with the model's digest, computed on a low-priority thread unless it is known."""

    def work() -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_PRIORITY)
        then(known or model_digest(model))

    threading.Thread(target=work, name="digest", daemon=True).start()


def publish(
    digest: str, model: Any, metadata: dict[str, Any] | None, config: Config, metrics: Metrics
) -> None:
    """Add the digest to the log, the metrics and the metadata. Call it on the event loop."""
    if not digest:
        return
    name, version = framework_of(model)
    framework = f", {name} {version}" if name else ""
    image = f", image {config.image}" if config.image else ""
    logger.info("Serving %s, digest %s%s%s", config.model_name, digest, framework, image)
    labels = {"digest": digest, "model": config.model_name, "version": config.model_version}
    metrics.set_info("prepackaged_model_info", labels)
    if metadata is not None:
        metadata["custom"] = {**(metadata.get("custom") or {}), KEY: digest}
