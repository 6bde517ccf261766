"""Limits for the clients of a port."""

import math
from dataclasses import dataclass

from prepackaged.server.transport.memory import UNLIMITED, MemoryBudget


@dataclass(frozen=True)
class Limits:
    """The limits of a port; None means no limit.

    `max_body` is in bytes: of a body over REST, and of a message in either direction over gRPC.
    `timeout` is in seconds from a complete request to its answer, `keepalive` in seconds from an
    answer to the next request. A connection beyond `max_connections` is closed after one request,
    which is refused unless its path is `exempt`. All ports share the budget `memory`.
    """

    max_body: int | None = None
    max_connections: float = math.inf
    timeout: float | None = None
    keepalive: float = 120
    exempt: frozenset[str] = frozenset()
    memory: MemoryBudget = UNLIMITED
