"""The facts about a request that hooks, metrics, the access log and spans read."""

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

CLIENT_CLOSED_REQUEST = 499  # nginx's status for it; there is no official one


class RequestContext:
    """A request over any transport; over gRPC its method is `gRPC`.

    `path` still has its escapes. Names of `headers` are in lower case. `started` is the time of its
    arrival, on the clock of `time.perf_counter`. `rows` is the number of rows of its array, once
    that is read, and `span` is its span if requests are traced. `deadline` is the time until which
    its client waits, and `left_at` the time at which the client closed its sending side, as a
    client does that disconnects; both on the same clock. `has_own_deadline` is true if the client
    set the deadline.
    """

    has_own_deadline = False

    __slots__ = (
        "__weakref__",
        "deadline",
        "headers",
        "left_at",
        "method",
        "path",
        "rows",
        "span",
        "started",
    )

    def __init__(self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.started = time.perf_counter()
        self.deadline = math.inf
        self.left_at = 0.0
        self.rows: int | None = None
        self.span: Any = None


class Observer(Protocol):
    """Called once for every request when it is answered, with its HTTP status and body's size.

    `code` is the status's name over gRPC, empty over REST.
    """

    def __call__(self, context: RequestContext, status: int, size: int, code: str = "") -> None:
        """Record a request."""
