"""An event loop on a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

import uvloop

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines while its block lasts, whatever the thread that entered it does meanwhile."""

    def __enter__(self) -> "LoopThread":
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._is_over = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="loop")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set_result, None)
        self._thread.join()

    def submit(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Run a coroutine; its result is to come."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """A coroutine's result, waited for. Raises what it raises."""
        return self.submit(work).result()

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._until_over())

    async def _until_over(self) -> None:
        await self._is_over
