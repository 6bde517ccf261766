"""Whether more requests come than the model answers, and for longer than a burst lasts."""

WINDOW_SECONDS = 0.5  # that arrivals and answers are counted for at a time,
LEAST_ANSWERS = 16  # or until there are so many: of a slow model few say nothing
TOO_MANY = 2.0  # arrivals for each answer
WINDOWS = 2  # one after another, of too many arrivals; clients that start together take one
OVER_SECONDS = 3.0  # without an arrival, after which an overload is over


class Overload:
    """Compares arrivals at a queue with answers, on one thread at a time.

    A burst of any size, and clients of any number that each wait for an answer before they ask
    again, are none: their queue does not grow. Times are in seconds, by the clock of `now`.
    """

    def __init__(self) -> None:
        self.answers = 0  # of the model, in this window; counted by its owner
        self._arrivals = 0
        self._windows = 0  # of too many arrivals, without a pause
        self._since = self._latest = 0.0

    @property
    def lasts(self) -> bool:
        """Whether there were too many arrivals for some time."""
        return self._windows >= WINDOWS

    def arrived(self, now: float) -> None:
        """Learn that a request has come where others wait, admitted or not."""
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
