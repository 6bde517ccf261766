"""Detect a lasting overload: more requests arrive than the model answers, not just in a burst."""

WINDOW_SECONDS = 0.5  # the shortest window in which arrivals and answers are counted;
LEAST_ANSWERS = 16  # it also needs this many answers, because a slow model gives few
TOO_MANY = 2.0  # arrivals for each answer
WINDOWS = 2  # windows in a row with too many arrivals; clients that start together cause one
OVER_SECONDS = 3.0  # an overload ends if no request arrives for this long


class Overload:
    """Compare arrivals at a queue with answers, on one thread at a time.

    A short burst is no lasting overload, and neither are clients that each wait for an answer
    before they send the next request: their queue does not grow. Times are in seconds, on the clock
    of `now`.
    """

    def __init__(self) -> None:
        self.answers = 0  # of the model, in this window; counted by its owner
        self._arrivals = 0
        self._windows = 0  # consecutive windows with too many arrivals
        self._since = self._latest = 0.0

    @property
    def lasts(self) -> bool:
        """Whether too many requests have arrived in several consecutive windows."""
        return self._windows >= WINDOWS

    def arrived(self, now: float) -> None:
        """Count a request that arrived while others wait, admitted or not."""
        if now - self._latest > OVER_SECONDS:
            self._windows = 0
            self._begin(now)
        self._latest = now
        if now - self._since >= WINDOW_SECONDS and self.answers >= LEAST_ANSWERS:
            is_too_much = self._arrivals > TOO_MANY * self.answers
            self._windows = self._windows + 1 if is_too_much else 0
            self._begin(now)
        self._arrivals += 1

    def _begin(self, now: float) -> None:
        self._since = now
        self._arrivals = self.answers = 0
