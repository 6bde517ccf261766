"""One model, one call at a time: the queue, the batches, and the thread of each call.

Requests queue while the model runs; the next call takes the queued ones. Nothing waits for a
batch to fill. Calls run on the model's own thread. Only a model that may be called on any thread
is called on the event loop, as long as calls take less than two milliseconds, which saves two
thread switches per call. The engine knows no protocol: it gets work and returns outcomes.
"""

import asyncio
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

from prepackaged.server.inference.admission import Admission, OverloadedError
from prepackaged.server.inference.latency import LatencyTracker
from prepackaged.server.inference.queue import WorkQueue
from prepackaged.server.inference.work import AGAIN, TRIP_SECONDS, Work, rows_of

logger = logging.getLogger(__name__)

LOOP_SECONDS = 0.002  # the longest time for calls in one iteration of the loop, and for gathering
MOST_CALLS = 64  # the most calls that the model's thread gets together, for up to TRIP_SECONDS
DELIVER_SECONDS = 0.001  # the model's thread delivers finished outcomes after this long

Submit = Callable[..., object]


class Engine:
    """The queue in front of a model, and the calls to it.

    `answer` takes a list of items, calls the model and returns an answer or an exception for each;
    two calls of it never overlap. `together` is the most items that it gets, or `at_once` if the
    next call may get fewer. `submit` runs a function on the model's thread, like an executor's;
    `on_loop` is whether quick calls may run on the event loop.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], Sequence[Any]],
        submit: Submit,
        *,
        together: Callable[[], int],
        at_once: Callable[[], int] | None = None,
        max_waiting: int,
        max_wait: float | None = None,
        max_rows: float = math.inf,
        max_bytes: float = math.inf,
        on_loop: bool = False,
    ) -> None:
        self._answer = answer
        self._submit = submit
        self._together = together
        self._at_once = at_once or together
        self._on_loop = on_loop
        self._loop = asyncio.get_running_loop()
        self._is_running = False
        self._taken: list[Work] = []
        self._call_began = math.inf
        self._trip_began = 0.0
        self._taking = Lock()  # for the batches that the model's thread takes itself
        self._idle = asyncio.Event()
        self._idle.set()
        self.latency = LatencyTracker()
        self._admission = Admission(self.latency, self._share_a_call, max_wait)
        self._queue = WorkQueue(
            self._admission,
            self._go_together,
            self._refuse,
            max_waiting=max_waiting,
            max_rows=max_rows,
            max_bytes=max_bytes,
        )

    @property
    def waiting(self) -> int:
        """The number of requests that wait for the model."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """The number of requests without an answer, waiting or with the model."""
        return len(self._queue) + len(self._taken)

    @property
    def call_seconds(self) -> float:
        """The seconds since the current call began; less than 0 if there is none."""
        return time.perf_counter() - self._call_began

    def note_begin(self) -> None:
        """Measure `call_seconds` from now on: the previous call has returned."""
        self._call_began = time.perf_counter()

    def submit(self, work: Work, *, is_urgent: bool = False) -> None:
        """Queue work. Raises `OverloadedError` if too much work waits already."""
        self._queue.add(work, is_urgent=is_urgent)
        if not self._is_running:
            self._start()

    async def run(self, function: Callable[[], Any], *, is_urgent: bool = False) -> Any:
        """Call a function on the model's thread, in turn or, if urgent, before all waiting work.

        Raises the function's exception, and `OverloadedError`. Cancelling it cancels the work.
        """
        outcome: asyncio.Future[Any] = self._loop.create_future()
        work = Work(None, functools.partial(_settle, outcome), function)
        self.submit(work, is_urgent=is_urgent)
        try:
            result = await outcome
        except asyncio.CancelledError:
            work.cancel()
            raise
        if isinstance(result, BaseException):
            raise result
        return result

    async def drained(self) -> None:
        """Wait until nothing is queued or running."""
        await self._idle.wait()

    def give_up(self, error: Exception) -> int:
        """Give this error to all work without an outcome; return the amount of this work."""
        with self._taking:
            works = [*self._queue.clear(), *self._taken]
        works = [work for work in works if work.is_wanted]
        self._deliver(works, [error] * len(works))
        for work in works:
            work.is_wanted = False
        return len(works)

    def _start(self) -> None:
        self._is_running = True
        self._idle.clear()
        self._loop.call_soon(self._gather, 0, time.perf_counter() + LOOP_SECONDS)

    def _gather(self, seen: int, until: float) -> None:
        """Wait until a loop iteration adds no work: simultaneous arrivals share a batch."""
        if (waiting := len(self._queue)) > seen and time.perf_counter() < until:
            self._loop.call_soon(self._gather, waiting, until)
        else:
            self._run()

    def _run(self) -> None:
        until = time.perf_counter() + LOOP_SECONDS
        while batch := self._queue.take():
            if not self._may_run_on_loop(batch):
                batches = [batch, *self._more_calls()]
                self._taken = [work for each in batches for work in each]
                self._trip_began = time.perf_counter()
                self._submit(self._call_on_thread, batches)
                return
            self._taken, start = batch, time.perf_counter()
            outcomes = self._call(batch)
            self._deliver(batch, outcomes)
            now = time.perf_counter()
            self.latency.note_call(now - start, count_answered(outcomes))
            if now > until:
                self._loop.call_soon(self._run)
                return
        self._is_running = False
        self._taken = []
        self._idle.set()

    def _may_run_on_loop(self, batch: list[Work]) -> bool:
        return self._on_loop and batch[0].function is None and self.latency.is_quick(rows_of(batch))

    def _more_calls(self) -> Iterator[list[Work]]:
        """More calls for the same trip to the model's thread, if each is for one request."""
        seconds = self.latency.seconds_per_request
        if self._together() > 1 or not seconds:
            return
        for _ in range(min(MOST_CALLS, int(TRIP_SECONDS / seconds))):
            if not (batch := self._queue.take()):
                return
            yield batch

    def _call_on_thread(self, batches: list[list[Work]]) -> None:
        """Call the model for batches, and continue with waiting work while its calls are long.

        So no long call waits for the event loop, which may be busy. After quick calls the thread
        waits, and the event loop has the interpreter to itself.
        """
        while batches:
            done = self._calls(batches)
            batches = self._more_on_thread(batches, done)
            then = self._deliver_all if batches else self._deliver_and_run
            self._loop.call_soon_threadsafe(then, done)

    def _calls(self, batches: list[list[Work]]) -> list[tuple[list[Work], Sequence[Any]]]:
        """Call the model for one batch after another, and deliver the outcomes now and then."""
        done: list[tuple[list[Work], Sequence[Any]]] = []
        until = time.perf_counter() + DELIVER_SECONDS
        for number, batch in enumerate(batches, 1):
            if not batch[0].is_wanted and len(batch) == 1:
                done.append((batch, [None]))
                continue
            done.append((batch, self._call(batch, busy_clock=time.thread_time)))
            if number < len(batches) and (now := time.perf_counter()) > until:
                self._loop.call_soon_threadsafe(self._deliver_all, done)
                done, until = [], now + DELIVER_SECONDS
        return done

    def _more_on_thread(
        self, batches: list[list[Work]], done: list[tuple[list[Work], Sequence[Any]]]
    ) -> list[list[Work]]:
        """The batches that this thread runs next; none if the event loop decides."""
        now = time.perf_counter()
        seconds = (now - self._trip_began) / len(batches)
        answered = count_answered(done[-1][1])
        self.latency.note_call(seconds, answered)
        self._trip_began = now
        if seconds < TRIP_SECONDS or answered < len(batches[-1]):
            return []
        with self._taking:
            self._taken = self._queue.take()
        return [self._taken] if self._taken else []

    def _call(
        self, works: list[Work], busy_clock: Callable[[], float] | None = None
    ) -> Sequence[Any]:
        start, busy_start = time.perf_counter(), busy_clock() if busy_clock else 0.0
        self._call_began = start
        outcomes = self._outcomes(works)
        self._call_began = math.inf
        seconds = time.perf_counter() - start
        busy = busy_clock() - busy_start if busy_clock else None
        if works[0].function:
            self.latency.note_request(seconds)
        else:
            self._learn(works, outcomes, seconds, busy)
        return outcomes

    def _outcomes(self, works: list[Work]) -> Sequence[Any]:
        try:
            function = works[0].function
            return [function()] if function else self._answer([work.item for work in works])
        except BaseException as error:
            return [error] * len(works)

    def _learn(
        self, works: list[Work], outcomes: Sequence[Any], seconds: float, busy: float | None
    ) -> None:
        answered = [w for w, each in zip(works, outcomes, strict=True) if each is not AGAIN]
        if answered:
            self.latency.note(seconds, len(answered), rows_of(answered), busy=busy)
            self.latency.note_sharing(len(works), len(answered))

    def _share_a_call(self) -> int:
        """The most requests for a call, limited to the number that shared the latest one."""
        return min(self._together(), self.latency.sharing)

    def _go_together(self) -> int:
        """The requests to take for a call: up to twice as many, to see if more can share it."""
        return min(self._at_once(), 2 * self.latency.sharing)

    def _deliver_and_run(self, done: list[tuple[list[Work], Sequence[Any]]]) -> None:
        self._deliver_all(done)
        self._run()

    def _deliver_all(self, done: list[tuple[list[Work], Sequence[Any]]]) -> None:
        for works, outcomes in done:
            self._deliver(works, outcomes)

    def _deliver(self, works: list[Work], outcomes: Sequence[Any]) -> None:
        again, answered = [], 0
        for work, outcome in zip(works, outcomes, strict=True):
            if not work.is_wanted:
                continue
            if outcome is AGAIN:
                again.append(work)
                continue
            work.is_wanted = False
            if work.context is not None and work.context.left_at:
                self._admission.left(work.age())
            elif type(outcome) is not OverloadedError:
                answered += 1
            try:
                work.done(outcome)
            except BaseException:  # the next answer, and the next call, do not depend on it
                logger.exception("An answer could not be delivered")
        self._admission.answered(answered)
        if again:
            self._queue.put_back(again)

    def _refuse(self, work: Work, error: OverloadedError) -> None:
        """Give an error to work that was taken, from any thread."""
        self._loop.call_soon_threadsafe(self._deliver, [work], [error])


def count_answered(outcomes: Sequence[Any]) -> int:
    """The number of outcomes other than `AGAIN`, at least 1."""
    return max(len([None for outcome in outcomes if outcome is not AGAIN]), 1)


def _settle(future: "asyncio.Future[Any]", outcome: Any) -> None:
    if not future.done():  # it is when it was cancelled
        future.set_result(outcome)
