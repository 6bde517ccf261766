"""How long a client may take to send a request."""

LEAST_RATE = 500  # bytes a second of a body, beyond its first seconds


class SenderTime:
    """The time of a head is counted as a whole, that of a body from part to part and as a whole.

    Times are in seconds, by the clock of `now`.
    """

    __slots__ = ("_body_since", "_head_until")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again with the next request, after a complete one."""
        self._head_until = self._body_since = 0.0

    def of_head(self, now: float, seconds: float) -> float:
        """The time left for a head, whose first part may take this many seconds."""
        self._head_until = self._head_until or now + seconds
        return min(self._head_until - now, seconds)

    def of_body(self, now: float, seconds: float, size: int) -> float:
        """The time left for the next part of a body of which this many bytes have arrived."""
        self._body_since = self._body_since or now
        return min(self._body_since + seconds + size / LEAST_RATE - now, seconds)
