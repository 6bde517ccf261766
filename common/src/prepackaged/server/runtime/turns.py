"""Run one change of the model at a time, and merge waiting requests for the same change."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Turns:
    """Runs the calls of `work(what)` one after another. Use it on one event loop.

    Consecutive calls with the same `what` during a run share one further run.
    """

    def __init__(self, work: Callable[[str], Awaitable[Any]]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._last: tuple[str, asyncio.Task[Any]] | None = None

    async def run(self, what: str) -> Any:
        """Await `work(what)`; if the caller is cancelled, the work continues."""
        if self._last is None or self._last[0] != what:
            self._last = (what, asyncio.create_task(self._run(what)))
            self._last[1].add_done_callback(_retrieve)
        return await asyncio.shield(self._last[1])

    async def _run(self, what: str) -> Any:
        async with self._turn:
            if self._last and self._last[1] is asyncio.current_task():
                self._last = None
            return await self._work(what)


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Retrieve the task's exception, so that asyncio does not log it if no caller is left."""
    if not task.cancelled():
        task.exception()
