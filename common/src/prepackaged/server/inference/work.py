"""A unit of work that waits for the model."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prepackaged.server.telemetry.context import RequestContext

#: The outcome of an item that waits for another call.
AGAIN = object()
#: Seconds that several calls in a row may take before other threads get their turn.
TRIP_SECONDS = 0.005


@dataclass(slots=True, eq=False)
class Work:
    """A unit of work for the model, and the function that gets its outcome.

    It is an `item` for the engine's `answer`, with `rows` and a `size` in bytes, or a `function`
    that is called alone. `done` is called once, on the event loop, with the answer or the
    exception. `is_wanted` becomes false with the outcome, or when the client disconnects; then the
    model does not get the work, or its outcome is dropped. `queue` is the queue that holds it, and
    `since` the time when it was added. `on_leave` is called with its age in seconds if the client
    disconnects while the model works on it. `context` is the transport's request.
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
