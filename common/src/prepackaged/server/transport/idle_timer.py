"""A timeout that is restarted with every request."""

import asyncio
import math
from collections.abc import Callable

NEVER = math.inf


class IdleTimer:
    """Calls a function when the latest timeout has passed.

    If the loop's timer fires before the limit, it is set again: a new timer for every request would
    take as long as reading a small request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._limit = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ends = NEVER

    def set(self, seconds: float, now: float | None = None) -> None:
        """Restart the timeout, in seconds; `now` is the loop's time."""
        self._limit = (self._loop.time() if now is None else now) + seconds
        if self._timer is None or self._timer_ends > self._limit:
            self._wait(seconds)

    def unset(self) -> None:
        """Do not call the function until `set` is called again."""
        self._limit = NEVER

    def cancel(self) -> None:
        """Never call the function."""
        if self._timer:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self.cancel()
        self._timer, self._timer_ends = self._loop.call_later(seconds, self._look), self._limit

    def _look(self) -> None:
        self._timer = None
        left = self._limit - self._loop.time()
        if left <= 0:
            self._ring()
        elif left < NEVER:
            self._wait(left)
