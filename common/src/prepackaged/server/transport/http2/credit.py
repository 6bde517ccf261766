"""Flow-control credit for a client: of a connection and of its streams (RFC 9113, 5.2, 6.9).

Each stream may send INITIAL bytes. When the length of a larger message is known, its stream gets
more credit, as far as MOST_EXTRA allows, in order of arrival; the credit returns when the stream
ends. So the memory of a connection is bounded, and no message waits for an incomplete one. The
connection's own credit is returned immediately: it only bounds the bytes in transit.
"""

from prepackaged.server.transport.http2.frames import (
    DEFAULT_WINDOW,
    MAX_WINDOW,
    WINDOW_UPDATE,
    ErrorCode,
    Http2Error,
    frame,
    number,
)
from prepackaged.server.transport.http2.streams import Stream

CONNECTION = 2**24  # bytes that may be on the way
HALF = CONNECTION // 2  # when less is left, it is given back
INITIAL = 2**16  # bytes of each stream
PADDING = 2**8  # bytes that one frame may have, with their length (6.1)
MOST_EXTRA = 2**26  # bytes of all streams beyond these; one stream may have more


class Credit:
    """Count received bytes, and write WINDOW_UPDATE frames into `output`.

    The reader of data subtracts them from `left` and from their stream's `credit`.
    """

    __slots__ = ("_extra", "_output", "_queue", "left")

    def __init__(self, output: list[bytes]) -> None:
        self._output = output
        self.left = CONNECTION
        self._extra = 0
        self._queue: dict[int, tuple[Stream, int]] = {}

    @staticmethod
    def first_grant() -> bytes:
        """The frame that sets the connection's initial credit."""
        return frame(WINDOW_UPDATE, 0, 0, number(CONNECTION - DEFAULT_WINDOW))

    def settle(self) -> None:
        """Return the connection's credit when data have used more than half of it.

        Raises `Http2Error` if they have used more than allowed (6.9.1).
        """
        if self.left < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
        self._output.append(frame(WINDOW_UPDATE, 0, 0, number(CONNECTION - self.left)))
        self.left = CONNECTION

    def want(self, stream: Stream, size: int) -> None:
        """Allow a stream to send this many bytes in all, now or when other streams have ended.

        The bytes may be padded. Further calls, as they arrive, return the credit that padding has
        used, since padding takes no memory.
        """
        missing = min(size + PADDING, MAX_WINDOW) - stream.credit
        if missing <= 0 or stream.number in self._queue:
            return
        if stream.wants:
            self.grant(stream, missing)
        else:
            stream.wants, stream.extra = True, 0
            self._queue[stream.number] = (stream, missing)
            self._serve()

    def keeps_waiting(self, stream: int) -> bool:
        """Whether a stream has less credit than it wants, because others have it."""
        return stream in self._queue

    def renew(self, stream: Stream) -> None:
        """Return a stream's credit when its message was consumed."""
        if stream.wants:
            stream.wants = False
            self.close(stream)
        if stream.credit < INITIAL // 2:
            self.grant(stream, INITIAL - stream.credit)

    def close(self, stream: Stream) -> None:
        """Take back the additional credit of a stream."""
        self._queue.pop(stream.number, None)
        self._extra -= stream.extra
        stream.extra = 0
        if self._queue:
            self._serve()

    def grant(self, stream: Stream, size: int) -> None:
        """Grant a stream more credit."""
        stream.credit += size
        self._output.append(frame(WINDOW_UPDATE, 0, stream.number, number(size)))

    def _serve(self) -> None:
        for key, (stream, size) in list(self._queue.items()):
            if self._extra and self._extra + size > MOST_EXTRA:
                break
            del self._queue[key]
            self._extra += size
            stream.extra += size
            self.grant(stream, size)
