"""Run a model's `custom_service` in a separate process while the server runs."""

import logging
import multiprocessing
import os
import signal
import threading
from typing import Any

from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.loading import find_class, with_model_dir
from prepackaged.server.telemetry.logs import begin_logging

logger = logging.getLogger(__name__)

SPAWN = multiprocessing.get_context("spawn")
END_SECONDS = 2  # from SIGTERM to SIGKILL


class CustomService:
    """A process that constructs the model, without `load`, and calls its `custom_service`."""

    def __init__(self, config: Config) -> None:
        self._process = SPAWN.Process(target=_serve, args=(config,), daemon=True)
        self._process.start()
        logger.info("Process %s runs custom_service", self._process.pid)

    def stop(self) -> None:
        """Terminate the process; kill it if it has not exited after END_SECONDS."""
        self._process.terminate()
        self._process.join(END_SECONDS)
        self._process.kill()


def has_custom_service(model: Any) -> bool:
    """Whether the model defines a `custom_service`."""
    return callable(getattr(model, "custom_service", None))


def _serve(config: Config) -> None:
    begin_logging(config.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles it and stops this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    model_class = find_class(config.interface)
    arguments = with_model_dir(model_class, config.parameters, config.model_dir)
    model_class(**arguments).custom_service()


def _end_with_parent() -> None:
    """Exit when the server has exited, for any reason."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
