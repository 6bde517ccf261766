"""The memory budget of requests, in bytes, shared by all connections.

The memory of a request is counted from its arrival to its response; responses that clients do not
read are counted, too. A request beyond the budget is refused with 503, so that a flood of large
requests costs other clients at most a retry.
"""

import math
from threading import Lock

from prepackaged.server.transport.errors import TransportError

SMALL = 2**12  # bytes; smaller requests are not counted
LARGE = 2**20  # bytes; a request is large from here on
LARGE_SHARE = 0.75  # the share of the budget for large requests, and for connections without one
RETRY_SECONDS = 1


class MemoryBudget:
    """The bytes that requests may hold at a time; methods may be called on any thread."""

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self.used = 0
        self.peak = 0  # since `peak_passed` was true last
        self._lock = Lock()

    def take(self, size: int, held: int = 0, *, is_request: bool = True) -> None:
        """Take more bytes for a request that holds `held`, or for a connection before its request.

        Raises `TransportError`: 503 if there is too little memory now, 413 if there always will be.
        """
        total = held + size
        leaves_room = total > LARGE or not is_request
        most = self.limit * LARGE_SHARE if leaves_room else self.limit
        with self._lock:
            if self.used + size <= most:
                self._add(size)
                return
        if total > most:
            why = f"the request takes more memory than the {most:.0f} bytes that one may take"
            raise TransportError(413, why)
        raise used_up()

    def charge(self, size: int) -> None:
        """Count bytes that are already held, such as a response that its client does not read."""
        with self._lock:
            self._add(size)

    def give_back(self, size: int) -> None:
        """Return bytes."""
        with self._lock:
            self.used -= size

    def peak_passed(self, size: int) -> bool:
        """Whether use peaked above `size` bytes, and is now below half of the peak."""
        with self._lock:
            is_over = self.peak > max(size, 2 * self.used)
            if is_over:
                self.peak = self.used
        return is_over

    def _add(self, size: int) -> None:
        self.used += size
        self.peak = max(self.peak, self.used)


UNLIMITED = MemoryBudget()


def used_up() -> TransportError:
    """The error for a request for which there is no memory now."""
    why = "other requests use all the memory for requests"
    return TransportError(503, why, **{"Retry-After": str(RETRY_SECONDS)})
