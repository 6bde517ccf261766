"""The streams of a connection: open ones, and those that the server reset."""

from prepackaged.server.transport.http2.frames import ErrorCode, Http2Error

MOST_REMEMBERED = 1024  # streams that ended before the client had sent everything


class Stream:
    """An open stream (RFC 9113, 5.1).

    `window` is the number of bytes that the client accepts, `credit` the number that it may send;
    `wants` is more credit for a large message. `is_ended` is true if the client sends nothing more.
    `unsent` bytes wait for the window, followed by `ending`: a block of trailers, an empty block
    for END_STREAM alone, or None while more may follow. `length_left` is the rest of the
    content-length, if there was one.
    """

    __slots__ = (
        "credit",
        "ending",
        "extra",
        "is_ended",
        "length_left",
        "number",
        "unsent",
        "wants",
        "window",
    )

    extra: int  # the part of the credit for a large message; if it `wants` more
    ending: bytes | None  # if something is `unsent`

    def __init__(
        self,
        number: int,
        window: int,
        credit: int,
        length: int | None,
        is_ended: bool,  # noqa: FBT001  by place, for it is made for each request
    ) -> None:
        self.number = number
        self.window = window
        self.credit = credit
        self.wants = False
        self.length_left = length
        self.is_ended = is_ended
        self.unsent: bytearray | None = None

    def fits(self, size: int) -> bool:
        """Whether data of this size agrees with the content-length (8.1.1)."""
        self.length_left = left = (self.length_left or 0) - size
        return left == 0 if self.is_ended else left >= 0


class EarlyEnds:
    """The streams that the server reset: frames that the client sent meanwhile are ignored.

    RFC 9113, 5.1 ("closed"). Older ones are remembered as a range.
    """

    __slots__ = ("_forgotten", "_numbers", "seen")

    def __init__(self) -> None:
        self.seen = 0  # the latest stream that the client has opened
        self._numbers: dict[int, None] = {}
        self._forgotten = 0

    def add(self, number: int) -> None:
        """Remember a stream."""
        self._numbers[number] = None
        if len(self._numbers) > MOST_REMEMBERED:
            oldest = next(iter(self._numbers))
            del self._numbers[oldest]
            self._forgotten = max(self._forgotten, oldest)

    def expect_not_idle(self, number: int) -> None:
        """Raise `Http2Error` for a frame on an idle stream (5.1, "idle")."""
        if number > self.seen or number % 2 == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"stream {number} is not open")

    def expect(self, number: int) -> None:
        """Raise `Http2Error` for data or headers after the end of a stream (5.1)."""
        self.expect_not_idle(number)
        if number > self._forgotten and number not in self._numbers:
            raise Http2Error(ErrorCode.STREAM_CLOSED, f"stream {number} is closed")
