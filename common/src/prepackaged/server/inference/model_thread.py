"""The thread that a model is constructed, loaded and called on."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

logger = logging.getLogger(__name__)


class ModelThread:
    """Calls functions one after another on the thread that runs it.

    In a server, that is the main thread, with no event loop running, as seldon-core's microservice
    guarantees a model. SQLite connections, signals, event loops of the model's own and thread-local
    data of libraries work as they do there.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()

    def submit(self, function: Callable[..., Any], *values: Any) -> None:
        """Queue a call, from any thread."""
        self._calls.put(partial(function, *values))

    def run(self) -> None:
        """Make the calls that are queued until `stop`.

        An exception between two calls is logged: a model's signal handler has raised it, such as
        that of an alarm which comes too late.
        """
        while True:
            is_waiting = True
            try:
                for call in iter(self._calls.get, None):
                    is_waiting = False
                    call()
                    del call  # which would keep a model that was replaced
                    is_waiting = True
                return
            except BaseException:
                if not is_waiting:
                    raise
                logger.exception("A signal handler of the model failed between two requests")

    def stop(self) -> None:
        """Let `run` return after the calls that are already queued."""
        self._calls.put(None)


@contextmanager
def started(thread: ModelThread) -> Iterator[ModelThread]:
    """Run it on a new thread, if the main thread is not available, as in tests."""
    runner = threading.Thread(target=thread.run, name="model", daemon=True)
    runner.start()
    try:
        yield thread
    finally:
        thread.stop()
