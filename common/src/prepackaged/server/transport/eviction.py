"""Close idle connections if there are too many, starting with the longest idle.

Otherwise clients could lock others out by opening connections and leaving them idle.
"""

import heapq
from collections.abc import Collection
from typing import Protocol, TypeVar

IDLE_SECONDS = 1.0  # a connection that is idle for less may be about to be used
SHARE = 100  # one of so many is closed at a time, so that the search costs little
PAUSE_SECONDS = 0.1  # seconds before the next search, if one has found none


class Idling(Protocol):
    """A connection that may be idle."""

    def idle_since(self) -> float | None:
        """The time, on its loop's clock, since when it has been idle; None if it is busy."""

    def end_idle(self) -> None:
        """Close it."""


Connection = TypeVar("Connection", bound=Idling)


class Eviction:
    """Close idle connections of a port to make room."""

    def __init__(self) -> None:
        self._pauses_until = 0.0

    def make_room(self, connections: Collection[Connection], now: float) -> bool:
        """Close some idle connections; return whether there were any."""
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
