"""Admission of requests: those whose clients will still wait when their turn comes.

In an overload, a queue of fixed length does not help: the model then works for clients that are
about to disconnect. So a request is admitted by the time that it would wait, estimated from earlier
calls. If the client's deadline is known, the deadline decides. Other clients are assumed to wait
until a share of the calls was for clients that had disconnected. From then on, a request is
admitted only if it would wait for less than half of the time that those clients waited, and is
refused, not computed, if it has waited for almost that time. While no client disconnects, this
time grows again.

In a lasting overload, a longer queue does not raise the number of answers; all requests only wait
longer. Then no request is admitted that would wait longer than a second or some calls.
"""

import math
import time
from collections.abc import Callable

from prepackaged.errors import RequestError
from prepackaged.server.inference.latency import LatencyTracker
from prepackaged.server.inference.overload import Overload
from prepackaged.server.telemetry.context import RequestContext

# The longest expected wait if the client's deadline is unknown: half of the timeout of most
# gateways (nginx, AWS: 60 s).
MOST_SECONDS = 30.0
LASTING_SECONDS = 1.0  # the longest expected wait in a lasting overload, whatever the deadline
MOST_CALLS = 16  # both limits are at least the time of this many calls
# Shares of the time that clients wait: the longest expected wait, and the oldest useful answer.
ADMITTED, LATE = 0.5, 0.9
SHORT_SECONDS = 0.02  # requests with a shorter wait are admitted without further checks
LEAST_SECONDS = 0.1  # requests with a shorter wait are never refused
LEAST_CALLS = 2  # requests that wait for at most this many calls are never refused either
LEAVING_SHARE = 0.25  # the share of disconnected clients from which on the server learns from them
RECENT = 32  # the number of recent outcomes in this share
STRICT_SECONDS = 10.0  # if no client disconnects for this long, the learned time grows
GROWTH = 1.5  # the factor of this growth
MOST_GROWTHS = 100  # the most growths that are applied together
GONE_SECONDS = 0.1  # a client that stops sending counts as disconnected after this long


class OverloadedError(RequestError):
    """The model is too busy for another request: HTTP 503, try again in `retry_after` s."""

    status_code = 503
    reason = "MICROSERVICE_OVERLOADED"

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(wait))


class Admission:
    """Admits requests to a queue, and finds those that cannot be answered in time.

    `together` is the number of requests that may share a call. `most_seconds` is the longest
    expected wait of a request, whatever its deadline; None means the deadline, or else
    MOST_SECONDS, or LASTING_SECONDS in a lasting overload. `is_stricter` becomes true when fewer
    requests may wait than were admitted. Times are in seconds, on the clock of `time.perf_counter`.
    """

    def __init__(
        self,
        latency: LatencyTracker,
        together: Callable[[], int],
        most_seconds: float | None = None,
    ) -> None:
        self._latency = latency
        self._together = together
        self._most_seconds = most_seconds
        self._overload = Overload()
        self.is_stricter = False
        self._left = self._answered = 0
        self._patience = math.inf
        self._grows_at = 0.0

    def check(self, waiting: int, most: int, now: float, context: RequestContext | None) -> None:
        """Raise `OverloadedError` unless another request may join the queue."""
        deadline = math.inf if context is None else context.deadline
        if waiting < most and deadline == math.inf and self._is_short(waiting):
            return
        together = self._together()
        if waiting >= LEAST_CALLS * together:
            self._overload.arrived(now)
        wait = self._latency.seconds_until(waiting, together)
        if waiting >= most:
            why = f"{waiting} requests already wait for the model, the maximum"
            raise OverloadedError(why, wait)
        is_bounded = deadline < math.inf and wait > 0
        if is_bounded and now + self._latency.seconds_until(waiting + 1, together) > deadline:
            why = f"the model is busy for {wait:.1f} s, too long for the request's deadline"
            raise OverloadedError(why, wait)
        if wait > LEAST_SECONDS and wait > self._most_wait(context, now):
            raise OverloadedError(f"the model is busy for {wait:.1f} s", wait)

    def _is_short(self, waiting: int) -> bool:
        """Whether the wait is so short that every client stays for its answer."""
        if 0 < waiting * self._latency.seconds_per_request < SHORT_SECONDS:
            return True
        return waiting < LEAST_CALLS * self._together()

    def answered(self, count: int = 1) -> None:
        """Learn that clients have waited for the answers that the model was called for."""
        self._overload.answers += count
        self._answered += count
        if self._answered + self._left > RECENT:
            self._left >>= 1
            self._answered >>= 1

    def left(self, age: float) -> None:
        """Record that the model was called for a client that had left, with the age of its request.

        A client that would hardly have waited for its own call says nothing about the queue.
        """
        if age < self._least():
            return
        self._left += 1
        self._overload.answers += 1
        self.answered(0)
        if self._left < LEAVING_SHARE * (self._left + self._answered):
            return
        now = time.perf_counter()
        before = self._patience_at(now)
        self._patience = min(before, age)
        self.is_stricter = self.is_stricter or age < before * LATE
        self._grows_at = now + STRICT_SECONDS

    def wait_behind(self, waiting: int) -> float:
        """The expected wait behind this number of requests, in seconds."""
        return self._latency.seconds_until(waiting, self._together())

    @property
    def knows_patience(self) -> bool:
        """Whether clients have left, so that it is known how long they stay."""
        return self._patience < math.inf

    def is_late(self, context: RequestContext, age: float, now: float) -> bool:
        """Whether a client that has waited for so long will have left before its answer."""
        if context.deadline < math.inf and context.deadline < now + self._call():
            return True
        if context.has_own_deadline or not self.knows_patience:
            return False
        return age > max(self._patience_at(now) * LATE - self._call(), self._least())

    def _most_wait(self, context: RequestContext | None, now: float) -> float:
        most = self._most_seconds
        if most is None:
            is_known = context is not None and context.deadline < math.inf
            most = math.inf if is_known else MOST_SECONDS
            if self._overload.lasts:
                most = LASTING_SECONDS
        usual = max(most, MOST_CALLS * self._call())
        if context is not None and context.has_own_deadline:
            return usual
        return min(max(self._patience_at(now) * ADMITTED - self._call(), self._least()), usual)

    def _patience_at(self, now: float) -> float:
        """The learned time that clients wait; it grows while no client disconnects."""
        if now > self._grows_at and self._patience < math.inf:
            growths = int((now - self._grows_at) / STRICT_SECONDS) + 1
            self._patience *= GROWTH ** min(growths, MOST_GROWTHS)
            self._grows_at += growths * STRICT_SECONDS
        return self._patience

    def _least(self) -> float:
        return max(LEAST_SECONDS, LEAST_CALLS * self._call())

    def _call(self) -> float:
        return self._latency.call_seconds(self._together())
