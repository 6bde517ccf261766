"""A worker process, seen from its parent."""

import asyncio
import logging
import math
import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from prepackaged.server.runtime.config import Config

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1  # the interval between a worker's heartbeats
SPAWN = multiprocessing.get_context("spawn")
# The messages between worker and parent, each with a text: a heartbeat; why the worker cannot
# start; a request to load or unload the model; why that request failed (empty if it succeeded).
ALIVE, FAILURE, CHANGE, OUTCOME = "alive", "failure", "change", "outcome"


@dataclass(frozen=True)
class Place:
    """A worker's number, the directory of its metrics, and the pipe to its parent."""

    number: int
    directory: Path
    pipe: Connection


Target = Callable[[Config, Place], None]


class Worker:
    """A worker process, seen from its parent. Create it on the parent's event loop.

    The first heartbeat sets `serves` and calls `on_serving`; `failure` says why the worker could
    not start. `on_request` is called when a client of the worker asks to load or unload the model
    in all workers. The constructor raises `OSError` if the system cannot create a process or pipe.
    """

    def __init__(
        self,
        target: Target,
        config: Config,
        number: int,
        directory: Path,
        on_serving: Callable[["Worker"], object],
        on_request: Callable[["Worker", str], object],
    ) -> None:
        self._on_request = on_request
        self._changed: asyncio.Future[str] | None = None
        self._pipe, end = SPAWN.Pipe()
        self.process = SPAWN.Process(target=target, args=(config, Place(number, directory, end)))
        self.process.start()
        end.close()
        self.serves = False
        self.has_missed_load = False
        self.failure = ""
        self._on_serving = on_serving
        self._silent = 0.0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)

    async def change(self, what: str) -> str:
        """Make the worker load or unload the model; return why it failed, or an empty text.

        Also empty if the worker exits first: its replacement loads the current files.
        """
        self._changed = self._loop.create_future()
        try:
            self._pipe.send((CHANGE, what))
            return await self._changed
        except OSError:
            return ""
        finally:
            self._changed = None

    def answer(self, why: str) -> None:
        """Send the worker the result of its request: why it failed, or an empty text."""
        with suppress(OSError):
            self._pipe.send((OUTCOME, why))

    async def died(self, silence: float = math.inf) -> int:
        """Wait for its exit status; kill the worker after `silence` seconds without a heartbeat.

        The sentinel alone is not enough: children that the model has forked keep it open.
        """
        ended = asyncio.Event()
        self._loop.add_reader(self.process.sentinel, ended.set)
        try:
            while not ended.is_set() and self.process.exitcode is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), BEAT_SECONDS)
                self._count_silence(silence)
        finally:
            self._loop.remove_reader(self.process.sentinel)
        self.process.join()
        self._read()
        self.end()
        return int(self.process.exitcode or 0)

    def end(self) -> None:
        """Ask the worker to stop, by closing the pipe."""
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._finish_change("")

    def _finish_change(self, why: str) -> None:
        if self._changed and not self._changed.done():
            self._changed.set_result(why)

    def _count_silence(self, longest: float) -> None:
        """Count the seconds without a heartbeat, and kill the worker after `longest`.

        Unlike a clock, the count stops while SIGSTOP stops this process.
        """
        if self.serves:
            self._silent += BEAT_SECONDS
        if self._silent > longest:
            logger.error("Worker %s has sent no heartbeat for %g s", self.process.pid, longest)
            self.process.kill()

    def _read(self) -> None:
        try:
            while not self._pipe.closed and self._pipe.poll():
                self._silent = 0.0
                self._receive(*self._pipe.recv())
        except (EOFError, OSError):
            self.end()

    def _receive(self, kind: str, text: str) -> None:
        if kind == CHANGE:
            self._on_request(self, text)
        elif kind == OUTCOME:
            self._finish_change(text)
        elif kind == FAILURE:
            self.failure = text
        elif not self.serves:
            self.serves = True
            self._on_serving(self)
