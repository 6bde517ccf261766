"""The queue of work for the model, and the choice of the next work to run."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence

from prepackaged.server.inference.admission import GONE_SECONDS, Admission, OverloadedError
from prepackaged.server.inference.work import Work
from prepackaged.server.telemetry.context import RequestContext

MOST_URGENT = 100  # functions that wait ahead of all others


class WorkQueue:
    """Two queues; urgent work runs first.

    Work is added, put back and cancelled on the event loop. It is taken there or on the model's
    thread, on one of them at a time. `together` is the most items in a batch, of at most `max_rows`
    and `max_bytes`. `refuse` is called, on either thread, for work that has waited too long.
    """

    def __init__(
        self,
        admission: Admission,
        together: Callable[[], int],
        refuse: Callable[[Work, OverloadedError], object],
        *,
        max_waiting: int,
        max_rows: float,
        max_bytes: float,
    ) -> None:
        self._admission = admission
        self._together = together
        self._refuse = refuse
        self._max_waiting = max_waiting
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._urgent: deque[Work] = deque()
        self._waiting: deque[Work] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._waiting)

    def add(self, work: Work, *, is_urgent: bool = False) -> None:
        """Queue work. Raises `OverloadedError` if too much work waits already."""
        now = time.perf_counter()
        if is_urgent:
            queue, most = self._urgent, MOST_URGENT
        else:
            queue, most = self._waiting, self._max_waiting
        self._admission.check(len(queue), most, now, work.context)
        queue.append(work)
        work.queue, work.since, work.on_leave = queue, now, self._admission.left

    def put_back(self, works: Sequence[Work]) -> None:
        """Queue works again, before all others that are not urgent."""
        self._waiting.extendleft(reversed(works))

    def clear(self) -> list[Work]:
        """All that waits, which waits no more."""
        works = [*self._urgent, *self._waiting]
        self._urgent.clear()
        self._waiting.clear()
        return works

    def take(self) -> list[Work]:
        """The next work: a single function, or as many requests as may share a call."""
        if self._admission.is_stricter:
            self._shed()
        taken: list[Work] = []
        rows = size = 0
        queue = self._urgent or self._waiting
        most, now = self._together(), time.perf_counter()
        are_patient = not self._admission.knows_patience
        while len(taken) < most:
            try:
                work = queue.popleft()
            except IndexError:  # the queue is empty, or clients have just left
                break
            rows, size = rows + work.rows, size + work.size
            is_too_much = rows > self._max_rows or size > self._max_bytes
            if taken and (is_too_much or work.function or taken[-1].function):
                queue.appendleft(work)
                break
            if not work.is_wanted:
                continue
            context = work.context
            if (
                context is None
                or (are_patient and context.deadline == math.inf and not context.left_at)
                or not self._is_dropped(work, context, now)
            ):
                taken.append(work)
        return taken

    def _shed(self) -> None:
        """Refuse now the requests that would be refused when their turn comes."""
        admission, now = self._admission, time.perf_counter()
        admission.is_stricter = False
        kept: list[Work] = []
        for _ in range(len(self._waiting)):  # more may be added meanwhile
            try:
                work = self._waiting.popleft()
            except IndexError:  # clients have left meanwhile
                break
            wait = admission.wait_behind(len(kept))
            then, context = now + wait, work.context
            if context and admission.is_late(context, then - work.since, then):
                self._refuse(work, overloaded_after(now - work.since))
            else:
                kept.append(work)
        self.put_back(kept)

    def _is_dropped(self, work: Work, context: RequestContext, now: float) -> bool:
        """Drop work whose client has disconnected or probably will before the answer.

        If no other work waits, it is done anyway, because this is not certain.
        """
        age = now - work.since
        if context.deadline < now:  # the exchange's own timer answers it
            work.is_wanted = False
            return True
        is_gone = context.left_at and now - context.left_at > GONE_SECONDS
        if not (is_gone or self._admission.is_late(context, age, now)) or not len(self):
            return False
        self._refuse(work, overloaded_after(age))
        return True


def overloaded_after(age: float) -> OverloadedError:
    """The refusal of a request that has waited for so many seconds."""
    return OverloadedError(f"the model is too busy: the request has waited for {age:.1f} s", age)
