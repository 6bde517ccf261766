"""The sending half of a connection: frames to the client, and how streams end."""

from prepackaged.server.transport.http2 import credit, frames
from prepackaged.server.transport.http2.budget import Budget
from prepackaged.server.transport.http2.credit import Credit
from prepackaged.server.transport.http2.events import StreamReset
from prepackaged.server.transport.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_FRAME,
    ErrorCode,
    Http2Error,
    frame,
    number,
)
from prepackaged.server.transport.http2.headers import MAX_HEADERS
from prepackaged.server.transport.http2.sending import Sender
from prepackaged.server.transport.http2.streams import EarlyEnds, Stream

MOST_STREAMS = 1024  # at a time
MOST_RESETS = 1000  # streams given up, more than half of all, before a client is sent away
SETTINGS = b"".join(
    (
        frames.setting(frames.MAX_STREAMS, MOST_STREAMS),
        frames.setting(frames.INITIAL_WINDOW, credit.INITIAL),
        frames.setting(frames.MAX_HEADERS, MAX_HEADERS),
    )
)
GREETING = frame(frames.SETTINGS, 0, 0, SETTINGS) + Credit.first_grant()


class Outbound:
    """The streams of a connection, and the frames sent on them.

    Nothing is sent on a closed stream. A response that ends before its request resets the stream
    (RFC 9113, 8.1).
    """

    def __init__(self, budget: Budget) -> None:
        #: Whether the client has sent its preface and its settings (3.4).
        self.has_preface = False
        self._output: list[bytes] = []
        self._budget = budget
        self._streams: dict[int, Stream] = {}
        self._early_ends = EarlyEnds()
        self._sender = Sender(self._output, budget)
        self._credit = Credit(self._output)
        self._is_greeted = False
        #: Whether the client knows that the connection is closing.
        self.is_ending = False
        self._is_refusing = False
        self._last = 0  # the latest stream that was not refused
        self._opened = 0
        self._resets = 0

    def take_output(self) -> bytes:
        """The bytes to send to the client now."""
        output = self._output
        if not self._is_greeted:
            if not (self.has_preface or self.is_ending):
                return b""  # the client may speak HTTP/1, and then gets no answer in HTTP/2
            self._is_greeted = True
            output.insert(0, GREETING)  # 3.4: it is the first
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    @property
    def has_streams(self) -> bool:
        """Whether there are streams that are open or not completely sent."""
        return bool(self._streams)

    @property
    def unsent(self) -> int:
        """The bytes that wait for the client's windows."""
        return self._sender.unsent

    @property
    def sent(self) -> int:
        """The bytes that waited and were sent."""
        return self._sender.sent

    def send_response(self, stream: int, block: bytes, data: bytes, end_block: bytes) -> None:
        """Send a complete response with trailers, immediately if the windows allow."""
        known, sender, size = self._streams.get(stream), self._sender, len(data)
        if known is None:
            return
        if size > MAX_FRAME or size > known.window or size > sender.window:
            sender.headers(known, block, end=False)
            if sender.data(known, data, end_block):
                self._finish(known)
            return
        known.window -= size
        sender.window -= size
        self._output.append(
            frame(HEADERS, END_HEADERS, stream, block)
            + frame(DATA, 0, stream, data)
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, end_block)
        )
        self._finish(known)

    def send_headers(self, stream: int, block: bytes, *, end: bool = False) -> None:
        """Send a header block; if `end`, nothing follows."""
        if (known := self._streams.get(stream)) and self._sender.headers(known, block, end=end):
            self._finish(known)

    def send_data(
        self, stream: int, data: bytes, *, end: bool = False, end_block: bytes | None = None
    ) -> None:
        """Send data as the client's windows allow; if `end` or with trailers, nothing follows."""
        ending = b"" if end and end_block is None else end_block
        if (known := self._streams.get(stream)) and self._sender.data(known, data, ending):
            self._finish(known)

    def reset(self, stream: int, code: ErrorCode) -> None:
        """End a stream without a response, or in the middle of it (6.4)."""
        if known := self._streams.get(stream):
            self._close(known)
            self._abandon(stream, code)

    def want(self, stream: int, size: int) -> None:
        """Allow the client to send that many more bytes of an incomplete message."""
        if known := self._streams.get(stream):
            self._credit.want(known, size)

    def keeps_waiting(self, stream: int) -> bool:
        """Whether the client cannot send what a stream needs until other streams have ended."""
        return self._credit.keeps_waiting(stream)

    def consumed(self, stream: int) -> None:
        """Return credit for consumed data of an open stream."""
        if known := self._streams.get(stream):
            self._credit.renew(known)

    def ping(self, payload: bytes) -> None:
        """Send a ping of eight bytes (6.7)."""
        self._output.append(frame(frames.PING, 0, 0, payload))

    def announce_end(self) -> None:
        """Announce the end of the connection; streams that are on the way are accepted (6.8)."""
        self.is_ending = True
        self._goaway(frames.STREAM_BITS, ErrorCode.NO_ERROR, "")

    def refuse_streams(self, code: ErrorCode = ErrorCode.NO_ERROR, why: str = "") -> None:
        """Accept no new streams, and send GOAWAY with the last accepted one (6.8)."""
        self.is_ending = self._is_refusing = True
        self._goaway(self._last, code, why)

    def _goaway(self, last: int, code: ErrorCode, why: str) -> None:
        payload = number(last) + number(code) + why.encode()
        self._output.append(frame(frames.GOAWAY, 0, 0, payload))

    def _finish(self, stream: Stream) -> None:
        """Close a stream after the end of its response."""
        self._close(stream)
        if not stream.is_ended:
            self._abandon(stream.number, ErrorCode.NO_ERROR)  # 8.1

    def _close(self, stream: Stream) -> None:
        del self._streams[stream.number]
        if stream.unsent:
            self._sender.forget(stream)
        if stream.wants:
            self._credit.close(stream)

    def _abandon(self, stream: int, code: ErrorCode) -> None:
        """Reset a stream; frames that the client sent meanwhile are ignored (5.1)."""
        self._early_ends.add(stream)
        self._output.append(frame(frames.RST_STREAM, 0, stream, number(code)))

    def _stream_error(self, stream: Stream, code: ErrorCode) -> StreamReset:
        """Handle a stream error (5.4.2)."""
        self._close(stream)
        self._abandon(stream.number, code)
        self._count_reset()
        return StreamReset(stream.number, code)

    def _count_reset(self) -> None:
        """Count resets, which cost the client nothing and the server much.

        CVE-2023-44487 ("rapid reset"), and CVE-2025-8671, in which the server resets.
        """
        self._resets += 1
        if self._resets > max(MOST_RESETS, self._opened // 2):
            why = "too many streams are cancelled"
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, why)
