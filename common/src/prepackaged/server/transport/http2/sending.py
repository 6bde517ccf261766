"""Send frames as the client's flow-control windows allow (RFC 9113, 5.2 and 6.9)."""

from prepackaged.server.transport.http2 import frames
from prepackaged.server.transport.http2.budget import Budget
from prepackaged.server.transport.http2.frames import (
    DATA,
    END_STREAM,
    MAX_FRAME,
    MAX_WINDOW,
    ErrorCode,
    Http2Error,
    frame,
    header_frames,
)
from prepackaged.server.transport.http2.streams import Stream


class Sender:
    """Writes streams into `output`, and keeps the bytes that do not fit into the windows.

    Functions return whether the stream's end was written. `sent` and `unsent` count bytes.
    """

    __slots__ = ("_budget", "_output", "_waiting", "initial_window", "sent", "unsent", "window")

    def __init__(self, output: list[bytes], budget: Budget) -> None:
        self._output = output
        self._budget = budget
        self.window = frames.DEFAULT_WINDOW
        self.initial_window = frames.DEFAULT_WINDOW
        self.sent = 0
        self.unsent = 0
        #: Streams that wait only for the connection's window. The others wait for their own.
        self._waiting: dict[int, Stream] = {}

    def headers(self, stream: Stream, block: bytes, *, end: bool) -> bool:
        """Write a header block."""
        self._output.append(header_frames(stream.number, block, end=end))
        return end

    def data(self, stream: Stream, data: bytes, ending: bytes | None) -> bool:
        """Write data and the stream's end, or keep them; see `Stream.ending`."""
        size = len(data)
        if stream.unsent or size > MAX_FRAME or size > stream.window or size > self.window:
            self._keep(stream, data, ending)
            return self._pump(stream)
        if data:
            stream.window -= size
            self.window -= size
            flags = END_STREAM if ending == b"" else 0
            self._output.append(frame(DATA, flags, stream.number, data))
        return self._end(stream, ending, has_data=bool(data))

    def forget(self, stream: Stream) -> None:
        """Drop the kept bytes of a closed stream."""
        if stream.unsent:
            self.unsent -= len(stream.unsent)
            stream.unsent = None
            self._waiting.pop(stream.number, None)

    def widen(self, more: int) -> list[Stream]:
        """Increase the connection's window; return the streams whose end was written.

        Raises `Http2Error` if it becomes too large. Afterwards each examined stream, except the
        last, has sent its data or waits for its own window.
        """
        self.window = larger(self.window, more)
        ended = []
        while self._waiting and self.window > 0:
            stream = next(iter(self._waiting.values()))
            if self._pump(stream):
                ended.append(stream)
        return ended

    def widen_stream(self, stream: Stream, more: int) -> bool:
        """Increase a stream's window. Raises `Http2Error` if it becomes too large."""
        stream.window = larger(stream.window, more)
        return bool(stream.unsent) and self._pump(stream)

    def resize(self, size: int, streams: list[Stream]) -> list[Stream]:
        """Resize the windows of all streams (RFC 9113, 6.9.2).

        Return the streams whose end was written.
        """
        if size > MAX_WINDOW:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {size} bytes")
        more, self.initial_window = size - self.initial_window, size
        return [stream for stream in streams if self.widen_stream(stream, more)]

    def _keep(self, stream: Stream, data: bytes, ending: bytes | None) -> None:
        if stream.unsent is None:
            stream.unsent = bytearray()
        stream.unsent += data
        stream.ending = ending
        self.unsent += len(data)

    def _pump(self, stream: Stream) -> bool:
        """Write as many of the kept bytes as the windows allow."""
        unsent = stream.unsent or bytearray()
        while (size := min(len(unsent), MAX_FRAME, stream.window, self.window)) > 0:
            part = bytes(memoryview(unsent)[:size])
            del unsent[:size]
            stream.window -= size
            self.window -= size
            is_end = not unsent and stream.ending == b""
            self._output.append(frame(DATA, END_STREAM if is_end else 0, stream.number, part))
            self._count(size)
        self._waiting.pop(stream.number, None)
        if unsent and stream.window > 0:
            self._waiting[stream.number] = stream  # behind all others, which get their turn first
            return False
        return not unsent and self._end(stream, stream.ending, has_data=True)

    def _count(self, size: int) -> None:
        self.sent += size
        self.unsent -= size
        self._budget.earn(size >> 10)  # a client may answer each part with window updates

    def _end(self, stream: Stream, ending: bytes | None, *, has_data: bool) -> bool:
        if ending:
            self._output.append(header_frames(stream.number, ending, end=True))
        elif ending == b"" and not has_data:
            self._output.append(frame(DATA, END_STREAM, stream.number))
        return ending is not None


def larger(window: int, more: int) -> int:
    """The increased window. Raises `Http2Error` if it is too large (6.9.1)."""
    if window + more > MAX_WINDOW:
        raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {window + more} bytes")
    return window + more
