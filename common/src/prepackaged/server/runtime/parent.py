"""The parent process, as a worker sees it."""

import asyncio
import functools
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from prepackaged.server.runtime.reload import Reloader, ReloadError
from prepackaged.server.runtime.worker import ALIVE, BEAT_SECONDS, CHANGE, OUTCOME


class Parent:
    """The worker's end of the pipe to its parent. Create it on the event loop of the server.

    `on_end` is called on that loop when the parent has exited or asks the worker to stop.
    """

    on_end: Callable[[], object] = functools.partial(os._exit, 0)  # before the server starts

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._reloader: Reloader | None = None
        self._asked: deque[asyncio.Future[str]] = deque()
        self._changes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe.fileno(), self._read)

    @classmethod
    async def of(cls, pipe: Connection) -> "Parent":
        """Create a Parent from a thread that has no event loop."""
        return cls(pipe)

    def begin(self, on_beat: Callable[[], object]) -> None:
        """Send heartbeats from now on, each after a call to `on_beat`."""
        on_beat()
        self._send(ALIVE, "")
        self._loop.call_later(BEAT_SECONDS, self.begin, on_beat)

    async def take_over(self, reloader: Reloader) -> None:
        """Load and unload when the parent asks, and forward such client requests to the parent."""
        self._reloader = reloader
        reloader.pass_on(self._ask)

    async def _ask(self, what: str) -> None:
        """Have the parent load or unload the model in all workers. Raises `ReloadError`."""
        outcome: asyncio.Future[str] = self._loop.create_future()
        self._asked.append(outcome)
        self._send(CHANGE, what)
        if why := await asyncio.shield(outcome):
            raise ReloadError(why)

    def _send(self, kind: str, text: str) -> None:
        with suppress(OSError):  # the parent has exited
            self._pipe.send((kind, text))

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                self._receive(*self._pipe.recv())
        except (EOFError, OSError):
            self._loop.remove_reader(self._pipe.fileno())
            self.on_end()

    def _receive(self, kind: str, text: str) -> None:
        if kind == OUTCOME:
            self._asked.popleft().set_result(text)
        elif self._reloader:
            task = asyncio.create_task(self._change(self._reloader, text))
            self._changes.add(task)
            task.add_done_callback(self._changes.discard)

    async def _change(self, reloader: Reloader, what: str) -> None:
        why = ""
        try:
            await reloader.change(what)
        except ReloadError as error:
            why = str(error)
        self._send(OUTCOME, why)
