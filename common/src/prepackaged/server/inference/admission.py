"""Who may wait for the model: those who will still be there when their turn comes.

In overload a queue of fixed length is of no use: the model then works for clients that are just
about to leave. So a request is admitted by how long it would wait, which the calls so far tell.
As soon as clients leave unanswered, nobody is admitted who would wait for longer than a part of
their patience, and who has waited for almost as long is refused rather than computed.
"""

import math
import time
from collections.abc import Callable

from prepackaged.errors import RequestError
from prepackaged.server.inference.latency import LatencyTracker

MOST_SECONDS = 2.5  # that a request may expect to wait,
MOST_CALLS = 16  # or as long as so many calls take
# Where clients leave, as parts of their patience: of the wait, and of the age with the answer.
ADMITTED, LATE = 0.5, 0.9
LEAST_SECONDS = 0.1  # but nobody who waits for less is refused,
LEAST_CALLS = 2  # nor who waits for no more calls than these
LEAVING_SHARE = 0.1  # of outcomes, from which on it is the queue that clients leave for
RECENT = 128  # outcomes that this share is of
STRICT_SECONDS = 10.0  # for which clients that left are remembered
GONE_SECONDS = 0.1  # after which a client that sends no more is taken for one that has left


class OverloadedError(RequestError):
    """The model is too busy for another request: HTTP 503, try again in `retry_after` s."""

    status_code = 503
    reason = "MICROSERVICE_OVERLOADED"

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(wait))


class Admission:
    """Admits requests to a queue, and finds those that cannot be answered in time.

    `together` is how many requests may share a call. For the event loop alone; times are in
    seconds, by the clock of `time.perf_counter`.
    """

    def __init__(
        self, latency: LatencyTracker, together: Callable[[], int], most_seconds: float
    ) -> None:
        self._latency = latency
        self._together = together
        self._most_seconds = most_seconds
        self._left = self._answered = 0
        self._patience = math.inf
        self._strict_until = 0.0

    def check(self, waiting: int, most: int, now: float, deadline: float) -> None:
        """Raise `OverloadedError` unless another request may wait behind those that do."""
        wait = self._latency.seconds_until(waiting, self._together())
        if waiting >= most:
            why = f"{waiting} requests wait for the model, which is all that may"
            raise OverloadedError(why, wait)
        if wait and now + wait > deadline:
            why = f"the model is busy for {wait:.1f} s, and the request's deadline is before that"
            raise OverloadedError(why, wait)
        if wait > LEAST_SECONDS and wait > self._most_wait(now):
            raise OverloadedError(f"the model is busy for {wait:.1f} s", wait)

    def left(self, age: float) -> None:
        """Learn that a client has left without an answer, at the age of its request."""
        self._count(left=1)
        if self._left < LEAVING_SHARE * (self._left + self._answered):
            return
        now = time.perf_counter()
        if now > self._strict_until:
            self._patience = math.inf
        self._patience = min(self._patience, age)
        self._strict_until = now + STRICT_SECONDS

    def answered(self, count: int) -> None:
        """Learn that clients have waited for their answers."""
        self._count(answered=count)

    def is_late(self, age: float, now: float) -> bool:
        """Whether a client that has waited for so long will have left before its answer."""
        if now > self._strict_until:
            return False
        return age > max(self._patience * LATE - self._call(), self._least())

    def _most_wait(self, now: float) -> float:
        usual = max(self._most_seconds, MOST_CALLS * self._call())
        if now > self._strict_until:
            return usual
        return min(max(self._patience * ADMITTED - self._call(), self._least()), usual)

    def _least(self) -> float:
        return max(LEAST_SECONDS, LEAST_CALLS * self._call())

    def _call(self) -> float:
        return self._latency.call_seconds(self._together())

    def _count(self, left: int = 0, answered: int = 0) -> None:
        self._left += left
        self._answered += answered
        if self._left + self._answered > RECENT:
            self._left >>= 1
            self._answered >>= 1
