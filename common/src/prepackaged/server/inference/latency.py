"""The durations of calls by their rows, which decide the thread that calls the model."""

import sys
from collections import deque

QUICK_SECONDS = 0.002  # the longest call on the event loop: about 32 rows of a small model
LONG_SECONDS = 0.01  # if one call takes this long, the next calls stay off the event loop
RECENT = 5  # the calls in a median, because a busy processor interrupts single calls
SIZES = 24  # the powers of two by which calls are grouped, in requests
KNOWN = 3  # the fewest calls for a median
CAUTIOUS_CALLS = 100  # the calls that stay off the event loop after a long one


class LatencyTracker:
    """Learns from every call; for one thread at a time.

    Calls with similar numbers of rows, up to the same power of two, share an estimate: the time
    of one row says little about the time of a thousand.
    """

    def __init__(self) -> None:
        self._recent: dict[int, deque[float]] = {}
        self._calls: list[deque[float]] = [deque(maxlen=RECENT) for _ in range(SIZES)]
        self._medians = [0.0] * SIZES  # of `_calls`; 0 if there was no call
        self._cautious = 0
        self.seconds_per_request = 0.0  # a moving average
        self.sharing = sys.maxsize  # the requests that the latest call for several answered

    def is_quick(self, rows: int) -> bool:
        """Whether the event loop may make a call with this many rows."""
        return not self._cautious and self._estimate(rows) <= QUICK_SECONDS

    def note(self, seconds: float, requests: int, rows: int, *, busy: float | None = None) -> None:
        """Learn from a call to the model that answered this many requests and rows.

        `busy` is the processor time of a call off the event loop. Such a call may take longer than
        the model needs, because the loop holds the interpreter's lock.
        """
        is_long = seconds > LONG_SECONDS
        recent = self._recent.setdefault(rows.bit_length(), deque(maxlen=RECENT))
        recent.append(seconds if is_long or busy is None else busy)
        if is_long or (busy is None and median(recent) > QUICK_SECONDS):
            self._cautious = CAUTIOUS_CALLS
        else:
            self._cautious = max(self._cautious - 1, 0)
        self.note_request(seconds / requests)

    def note_request(self, seconds: float) -> None:
        """Record the time of one request, whatever it called."""
        average = self.seconds_per_request
        self.seconds_per_request = average * 0.9 + seconds * 0.1 if average else seconds

    def note_call(self, seconds: float, requests: int) -> None:
        """Learn how long a call kept others waiting, including the switch to the model's thread."""
        size = min(requests.bit_length(), SIZES - 1)
        recent = self._calls[size]
        recent.append(seconds)
        self._medians[size] = median(recent)

    def note_sharing(self, given: int, answered: int) -> None:
        """Learn how many of the requests that were given to a call it has answered."""
        if given > 1:
            self.sharing = answered if answered < given else sys.maxsize

    def call_seconds(self, requests: int) -> float:
        """The seconds of a call for at most this many requests; 0 before the first call.

        For a number that has not been measured, the time of the next smaller one; it will soon be
        measured.
        """
        size = min(requests.bit_length(), SIZES - 1)
        return self._medians[size] or self._nearest(size)

    def _nearest(self, size: int) -> float:
        smaller = next(filter(None, reversed(self._medians[:size])), 0.0)
        return smaller or next(filter(None, self._medians), 0.0)

    def seconds_until(self, waiting: int, together: int) -> float:
        """Seconds that calls for so many requests take, of which some share a call."""
        calls, rest = divmod(waiting, together)
        seconds = calls * self.call_seconds(together) if calls else 0.0
        return seconds + self.call_seconds(rest) if rest else seconds

    def _estimate(self, rows: int) -> float:
        """Seconds of a call; in the absence of similar ones, the least that others promise.

        More rows take at most as many times longer, and fewer rows no longer.
        """
        size = rows.bit_length()
        recent = self._recent.get(size)
        if recent and len(recent) >= KNOWN:
            return median(recent)
        promises = [
            median(seconds) * 2 ** max(size - known, 0)
            for known, seconds in self._recent.items()
            if len(seconds) >= KNOWN
        ]
        return min(promises, default=LONG_SECONDS)


def median(seconds: deque[float]) -> float:
    """The middle value, the larger one of two."""
    return sorted(seconds)[len(seconds) // 2]
