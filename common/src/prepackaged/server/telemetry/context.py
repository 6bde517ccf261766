"""The facts about a request that hooks, metrics, the access log and spans read."""

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

CLIENT_CLOSED_REQUEST = 499  # nginx's status; there is no official one


class RequestContext:
    """A request over whichever transport; over gRPC its method is `gRPC`.

    `path` has its escapes still. Names of `headers` are in lower case. `started` is when it
    arrived, as `time.perf_counter` counts. `rows` are those of its array, once that is read,
    and `span` is its span where requests are traced. `deadline` is until when its client waits,
    and `left_at` when it ceased to send, as one does that goes away; both by the same clock.
    With `has_own_deadline` it was the client that said until when it waits.
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
