"""An event loop on its own thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

import uvloop

from prepackaged.errors import DeploymentError, describe

Result = TypeVar("Result")


class LoopThread:
    """Run coroutines on a separate thread until the end of the `with` block.

    `ended` has the exception that stopped the loop before the end of the block. A `DeploymentError`
    replaces a SystemExit, which would end the process as if there were no error.
    """

    def __enter__(self) -> "LoopThread":
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.loop = self._runner.get_loop()
        self._is_over = self.loop.create_future()
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="loop")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(self._is_over.set_result, None)
        self._thread.join()

    def submit(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Start a coroutine and return the future of its result.

        The future receives every exception, even a SystemExit, which would stop the loop.
        """
        outcome: Future[Result] = Future()
        asyncio.run_coroutine_threadsafe(_settle(outcome, work), self.loop)
        return outcome

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine and return its result, or raise its exception."""
        return self.submit(work).result()

    def soon(self, function: Callable[..., object], *values: Any) -> None:
        """Call a function on the loop, unless the loop is closed."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *values)

    def _run(self) -> None:
        try:
            with self._runner:
                self._runner.run(self._until_over())
        except SystemExit as error:
            self.ended.set_exception(DeploymentError(f"the server has ended: {describe(error)}"))
        except BaseException as error:
            self.ended.set_exception(error)

    async def _until_over(self) -> None:
        await self._is_over


async def _settle(outcome: "Future[Result]", work: Coroutine[Any, Any, Result]) -> None:
    try:
        outcome.set_result(await work)
    except BaseException as error:
        outcome.set_exception(error)
