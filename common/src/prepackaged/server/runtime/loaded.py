"""Load the model, and check it before it answers clients."""

import time
from dataclasses import dataclass
from typing import Any

from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loading import find_class, load_model, read_metadata
from prepackaged.server.runtime.memory import importing, resident
from prepackaged.server.runtime.provenance import tag_answers
from prepackaged.server.runtime.self_test import check_samples


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model, its metadata, and its digest (empty if it is not computed yet).

    `seconds` and `memory` (in bytes) are the time and the memory that loading took.
    """

    model: Any
    metadata: dict[str, Any] | None
    digest: str
    seconds: float
    memory: int


def load(config: Config, loop: LoopThread) -> LoadedModel:
    """Load the model and try its samples, on the thread that will call the model.

    Raises `DeploymentError` if the model cannot be loaded or a sample fails.
    """
    start = time.perf_counter()
    with importing():
        find_class(config.interface)
    before = resident()
    model = load_model(config.interface, config.parameters, config.model_dir)
    digest = tag_answers(model, config) if config.provenance_tags else ""
    metadata = read_metadata(model)
    memory, seconds = max(resident() - before, 0), time.perf_counter() - start
    check_samples(model, metadata, config, loop)
    return LoadedModel(model, metadata, digest, seconds, memory)
