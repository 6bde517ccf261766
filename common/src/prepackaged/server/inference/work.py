"""What waits for the model."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prepackaged.server.telemetry.context import RequestContext

#: The outcome of an item that waits for another call.
AGAIN = object()
#: What several calls in a row may take, in seconds, before others get their turn.
TRIP_SECONDS = 0.005


@dataclass(slots=True, eq=False)
class Work:
    """Something that waits for the model, and where its outcome goes.

    It is an item for the engine's `answer`, with so many `rows` and of a `size` in bytes, or a
    `function` to be called alone. `done` is called once, on the event loop, with the answer or the
    exception. `is_wanted` turns false with the outcome, or when the client has gone away: the model
    never sees such work, or nobody its outcome. `queue` is where it waits, and `since` since when;
    `on_leave` is called with its age in seconds when the client goes away while the model works for
    it. `context` is the request.
    """

    item: Any
    done: Callable[[Any], None]
    function: Callable[[], Any] | None = None
    rows: int = 1
    size: int = 0
    is_wanted: bool = True
    queue: "deque[Work] | None" = None
    context: RequestContext | None = None
    since: float = 0.0
    on_leave: Callable[[float], object] | None = None

    def cancel(self) -> None:
        """Drop the work: nobody wants its outcome any more."""
        was_wanted, self.is_wanted = self.is_wanted, False
        try:
            if self.queue is not None:
                self.queue.remove(self)
        except ValueError:  # with the model already
            if was_wanted and self.on_leave:
                self.on_leave(self.age())

    def age(self) -> float:
        """For how many seconds its client has waited, or did until it left."""
        left_at = 0.0 if self.context is None else self.context.left_at
        return (left_at or time.perf_counter()) - self.since


def rows_of(works: Sequence[Work]) -> int:
    """The rows of all."""
    rows = 0
    for work in works:
        rows += work.rows
    return rows
