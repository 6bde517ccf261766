"""One model, one call at a time: who waits, who goes together, and on which thread.

Requests queue while the model runs; the next run takes what is queued. Nothing waits for a
batch to fill. A model that answers within a millisecond is called on the event loop itself,
which saves two thread switches a call; one that takes longer is called on a thread of its
own, so that the loop stays free. The engine knows no protocol: it is given work and gives
outcomes.
"""

import asyncio
import contextlib
import functools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from prepackaged.errors import RequestError
from prepackaged.server.inference.latency import LatencyTracker

logger = logging.getLogger(__name__)

LOOP_SECONDS = 0.002  # what one turn of the loop may spend in calls


class OverloadedError(RequestError):
    """More requests wait for the model than allowed: HTTP 503, try again in `retry_after` s."""

    status_code = 503
    reason = "MICROSERVICE_OVERLOADED"

    def __init__(self, waiting: int, seconds_each: float) -> None:
        super().__init__(f"{waiting} requests wait for the model, which is all that may")
        self.retry_after = max(1, math.ceil(waiting * seconds_each))


@dataclass(slots=True, eq=False)
class Work:
    """Something that waits for the model, and where its outcome goes.

    It is an item for the engine's `answer`, or a `function` to be called alone. `done` is
    called once, on the event loop, with the answer or the exception. `is_wanted` turns false
    when the client has gone away; such work is dropped before the model sees it, or its
    outcome after that.
    """

    item: Any
    done: Callable[[Any], None]
    function: Callable[[], Any] | None = None
    is_wanted: bool = True
    forget: Callable[["Work"], None] | None = None

    def cancel(self) -> None:
        """Nobody wants the outcome any more: the place in the queue is free."""
        self.is_wanted = False
        if self.forget:
            self.forget(self)


async def outcome_of(submit: Callable[[Callable[[Any], None]], Work]) -> Any:
    """The answer to work that `submit` queues; it is given the work's `done`.

    Raises the exception that is the outcome. Cancelled, it cancels the work.
    """
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    work = submit(functools.partial(_settle, outcome))
    try:
        result = await outcome
    except asyncio.CancelledError:
        work.cancel()
        raise
    if isinstance(result, BaseException):
        raise result
    return result


def _settle(future: "asyncio.Future[Any]", outcome: Any) -> None:
    if not future.done():  # it is when it was cancelled
        future.set_result(outcome)


class Engine:
    """The queue before a model and the one thread that calls it.

    `answer` takes a list of items, calls the model and gives an answer or an exception for
    each; it is never called twice at a time. `together` is how many items it may be given.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        together: Callable[[], int],
        max_waiting: int,
    ) -> None:
        self._answer = answer
        self._together = together
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._waiting: deque[Work] = deque()
        self._is_running = False
        self._taken: list[Work] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self.pace = LatencyTracker()

    @property
    def waiting(self) -> int:
        """How many requests wait for the model."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """How many requests have no answer yet: those that wait and those with the model."""
        return len(self._waiting) + len(self._taken)

    def submit(self, work: Work) -> None:
        """Queue work. Raises `OverloadedError` when too much waits already."""
        if len(self._waiting) >= self._max_waiting:
            raise OverloadedError(len(self._waiting), self.pace.seconds_an_item)
        self._waiting.append(work)
        work.forget = self._forget
        if not self._is_running:
            self._is_running = True
            self._idle.clear()
            self._loop.call_soon(self._gather, 0)

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call a function on the model's thread, in turn with everything else that waits.

        Raises what it raises, and `OverloadedError`.
        """

        def submit(done: Callable[[Any], None]) -> Work:
            work = Work(None, done, function)
            self.submit(work)
            return work

        return await outcome_of(submit)

    async def drained(self) -> None:
        """Wait until nothing is queued or running."""
        await self._idle.wait()

    def give_up(self, error: Exception) -> int:
        """Let this be the outcome of all work that has none yet; how much that is."""
        works = [work for work in (*self._waiting, *self._taken) if work.is_wanted]
        self._waiting.clear()
        self._deliver(works, [error] * len(works))
        for work in works:
            work.is_wanted = False
        return len(works)

    def close(self) -> None:
        """Let the thread go, without waiting for a call that hangs on it."""
        self._thread.shutdown(wait=False)

    def _forget(self, work: Work) -> None:
        with contextlib.suppress(ValueError):  # with the model already
            self._waiting.remove(work)

    def _gather(self, seen: int) -> None:
        """Run once a turn of the loop has brought no more work: what comes together goes along."""
        if len(self._waiting) > seen:
            self._loop.call_soon(self._gather, len(self._waiting))
        else:
            self._run()

    def _run(self) -> None:
        until = time.perf_counter() + LOOP_SECONDS
        while works := self._take():
            if works[0].function or not self.pace.is_quick:
                self._thread.submit(self._call_on_thread, works)
                return
            self._deliver(works, self._call(works))
            if time.perf_counter() > until:
                self._loop.call_soon(self._run)
                return
        self._is_running = False
        self._idle.set()

    def _take(self) -> list[Work]:
        """What goes to the model next: a function alone, or as many items as may go together."""
        taken: list[Work] = []
        most = self._together()
        waiting = self._waiting
        while waiting and len(taken) < most:
            if taken and (waiting[0].function or taken[-1].function):
                break
            work = waiting.popleft()
            if work.is_wanted:
                taken.append(work)
        self._taken = taken
        return taken

    def _call_on_thread(self, works: list[Work]) -> None:
        outcomes = self._call(works, busy_clock=time.thread_time)
        self._loop.call_soon_threadsafe(self._deliver_and_run, works, outcomes)

    def _call(
        self, works: list[Work], busy_clock: Callable[[], float] | None = None
    ) -> Sequence[Any]:
        start, busy_start = time.perf_counter(), busy_clock() if busy_clock else 0.0
        try:
            function = works[0].function
            return [function()] if function else self._answer([work.item for work in works])
        except BaseException as error:
            return [error] * len(works)
        finally:
            seconds = time.perf_counter() - start
            busy = busy_clock() - busy_start if busy_clock else None
            self._learn(works, seconds, busy)

    def _learn(self, works: list[Work], seconds: float, busy: float | None) -> None:
        if works[0].function:
            self.pace.note_item(seconds)
        else:
            self.pace.note(seconds, len(works), busy=busy)

    def _deliver_and_run(self, works: list[Work], outcomes: Sequence[Any]) -> None:
        self._deliver(works, outcomes)
        self._run()

    def _deliver(self, works: list[Work], outcomes: Sequence[Any]) -> None:
        for work, outcome in zip(works, outcomes, strict=True):
            if not work.is_wanted:
                continue
            try:
                work.done(outcome)
            except Exception:  # the next answer, and the next run, do not depend on it
                logger.exception("An answer could not be given")
