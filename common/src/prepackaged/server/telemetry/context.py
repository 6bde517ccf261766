"""A request as its transport received it: who asks, for whoever answers, counts or logs it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

CLIENT_WENT_AWAY = 499  # nginx's number, for there is no official one


@dataclass(slots=True, eq=False)
class RequestContext:
    """A request over whichever transport; over gRPC its method is `gRPC`.

    `path` has its escapes still. Names of `headers` are in lower case. `started` is when it
    arrived, as `time.perf_counter` counts. `rows` are those of its array, once that is read,
    and `span` is its span where requests are traced.
    """

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]]
    started: float = field(default_factory=time.perf_counter)
    rows: int | None = None
    span: Any = None


class Observer(Protocol):
    """Told of every request that is answered, when it is: of its HTTP status and bytes.

    `code` is the status by another name, where the transport has one.
    """

    def __call__(self, context: RequestContext, status: int, size: int, code: str = "") -> None:
        """Note a request."""
