"""Which connections end when there are too many: those that are idle, the longest idle first.

So nobody keeps others out by opening connections and doing nothing with them.
"""

import heapq
from collections.abc import Collection
from typing import Protocol, TypeVar

IDLE_SECONDS = 1.0  # a connection that is idle for less may be about to be used
SHARE = 100  # one of so many ends at a time, so that to look for them costs little
PAUSE_SECONDS = 0.1  # after a look that has found none, for which nobody looks again


class Idling(Protocol):
    """A connection that may be idle."""

    def idle_since(self) -> float | None:
        """Since when nothing is asked on it, by its loop's clock; None where something is."""

    def end_idle(self) -> None:
        """End it."""


Connection = TypeVar("Connection", bound=Idling)


class Eviction:
    """Makes room among the connections of one port."""

    def __init__(self) -> None:
        self._pauses_until = 0.0

    def make_room(self, connections: Collection[Connection], now: float) -> bool:
        """End some idle connections; whether there were any."""
        if now < self._pauses_until:
            return False
        idle = [
            (since, number, each)
            for number, each in enumerate(connections)
            if (since := each.idle_since()) is not None and now - since >= IDLE_SECONDS
        ]
        if not idle:
            self._pauses_until = now + PAUSE_SECONDS
        for _, _, each in heapq.nsmallest(max(len(connections) // SHARE, 1), idle):
            each.end_idle()
        return bool(idle)
