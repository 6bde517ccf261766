"""What the clients of one port may ask for."""

import math
from dataclasses import dataclass

from prepackaged.server.transport.memory import UNLIMITED, MemoryBudget


@dataclass(frozen=True)
class Limits:
    """The limits of a port; None is no limit.

    `max_body` is in bytes, of a body over REST and of a message, either way, over gRPC.
    `timeout` is in seconds from when a request is whole to its answer, `keepalive` in seconds
    from an answer to the next request. One connection more than `max_connections` is closed
    after a request, which is refused unless its path is `exempt`. `memory` is what the requests
    of all ports share.
    """

    max_body: int | None = None
    max_connections: float = math.inf
    timeout: float | None = None
    keepalive: float = 120
    exempt: frozenset[str] = frozenset()
    memory: MemoryBudget = UNLIMITED
