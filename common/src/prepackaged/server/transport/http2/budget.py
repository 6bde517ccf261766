"""A budget for frames that carry no data."""

from collections.abc import Callable

from prepackaged.server.transport.http2.frames import ErrorCode, Http2Error

MOST = 5_000  # the most such frames together
A_SECOND = 500.0  # the frames per second in the long run
FOR_A_STREAM = 16  # more frames for each new stream, for its pings and window updates


class Budget:
    """Control frames and empty frames cost; beyond the budget, the connection is closed.

    CVE-2019-9512 (ping), 9515 (settings), 9518 (empty frames), 9511 (tiny windows), 2024-27316
    (continuations). The clock, in seconds, is asked only when the budget is used up.
    """

    __slots__ = ("_clock", "_filled", "left")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.left = MOST
        self._clock = clock
        self._filled = clock()

    def spend(self, cost: int = 1) -> None:
        """Charge a frame. Raises `Http2Error` if the budget is used up (RFC 9113, 10.5)."""
        self.left -= cost
        if self.left < 0:
            self._refill()

    def earn(self, amount: int) -> None:
        """Data frames earn budget for control frames."""
        if self.left < MOST:
            self.left += amount

    def _refill(self) -> None:
        now = self._clock()
        self.left += min(int((now - self._filled) * A_SECOND), MOST)
        self._filled = now
        if self.left < 0:
            why = "too many frames without data"
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, why)
