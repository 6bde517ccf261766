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
        """A request is whole; what follows is of the next one."""
        self._head_until = self._body_since = 0.0

    def of_head(self, now: float, seconds: float) -> float:
        """What is left for a head, of which the first part may take so many seconds."""
        self._head_until = self._head_until or now + seconds
        return min(self._head_until - now, seconds)

    def of_body(self, now: float, seconds: float, size: int) -> float:
        """What is left for the next part of a body of which so many bytes have arrived."""
        self._body_since = self._body_since or now
        return min(self._body_since + seconds + size / LEAST_RATE - now, seconds)
