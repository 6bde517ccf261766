"""Run one change of the model at a time, and merge equal requests that wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Turns:
    """Runs `work(what)` in turn. Use it on one event loop.

    Calls with the same `what` that arrive during a run share one further run and its result.
    """

    def __init__(self, work: Callable[[str], Awaitable[Any]]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._waiting: dict[str, asyncio.Task[Any]] = {}

    async def run(self, what: str) -> Any:
        """Return `work(what)` or raise its exception; it goes on if the caller is cancelled."""
        task = self._waiting.get(what)
        if task is None:
            task = self._waiting[what] = asyncio.create_task(self._run(what))
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _run(self, what: str) -> Any:
        async with self._turn:
            del self._waiting[what]
            return await self._work(what)


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Keep asyncio from logging an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
