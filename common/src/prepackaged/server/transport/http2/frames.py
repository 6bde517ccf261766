"""HTTP/2's frames: bytes in, frames out, and back (RFC 9113, sections 3.4, 4, 6 and 7)."""

import struct
from collections.abc import Iterator
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # 3.4
HEAD = struct.Struct(">BHBBI")  # 4.1: length in 24 bits, type, flags, stream
HEAD_SIZE = HEAD.size
STREAM_BITS = 2**31 - 1  # 4.1: the first bit is reserved
MAX_FRAME = 16_384  # bytes; 4.2: the size that every peer accepts, and that ours must keep to
LARGEST_MAX_FRAME = 2**24 - 1  # 6.5.2
MAX_WINDOW = 2**31 - 1  # 6.9.1
DEFAULT_WINDOW = 65_535  # 6.9.2
PING_SIZE = 8  # 6.7
PRIORITY_SIZE = 5  # 6.3
GOAWAY_SIZE = 8  # 6.8, at least

(
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
) = range(10)

# Flags; the first has two meanings.
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

# Settings, 6.5.2
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME_SIZE, MAX_HEADERS = range(
    1, 7
)
ENABLE_CONNECT = 8  # RFC 8441, 3
SETTING_RANGES = {
    ENABLE_PUSH: (0, 1),
    MAX_FRAME_SIZE: (MAX_FRAME, LARGEST_MAX_FRAME),
    ENABLE_CONNECT: (0, 1),
}


class ErrorCode(IntEnum):
    """The reason why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Http2Error(Exception):
    """The peer violated the protocol, and the connection must end (RFC 9113, 5.4.1)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


#: Type, flags, stream, payload; the stream is 0 when the frame is the connection's.
Frame = tuple[int, int, int, bytes]


class FrameReader:
    """Split arriving bytes into the preface and frames.

    Bytes of an incomplete frame wait in a bytearray, so that a client that sends single bytes
    causes no quadratic copying.
    """

    __slots__ = ("_data", "_needed", "_part", "_place", "has_preface")

    def __init__(self) -> None:
        self.has_preface = False
        self._data = b""
        self._place = 0
        self._part = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> None:
        """Add bytes."""
        if self._place < len(self._data):  # the caller stopped before the last frame
            if not data:
                return
            self._part[:0] = self._data[self._place :]
            self._needed = 0
        if self._part:
            self._part += data
            if len(self._part) < self._needed:
                data = b""
            else:
                data, self._part = bytes(self._part), bytearray()
        self._data, self._place = data, 0

    @property
    def has_more(self) -> bool:
        """Whether there are bytes that were not examined yet."""
        return self._place < len(self._data)

    def frames(self) -> Iterator[Frame]:
        """The complete frames; iteration may stop after a frame and continue later.

        Raises `Http2Error` for a frame that is too large, as soon as its header has arrived, and
        for bytes that are not HTTP/2.
        """
        if not self.has_preface and not self._take_preface():
            return
        data, place, end = self._data, self._place, len(self._data)
        needed = HEAD_SIZE
        while end - place >= HEAD_SIZE:
            high, low, kind, flags, stream = HEAD.unpack_from(data, place)
            size = high << 16 | low
            if size > MAX_FRAME:  # 4.2
                message = f"expected a frame of at most {MAX_FRAME} bytes, got one of {size}"
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, message)
            start = place + HEAD_SIZE
            if end - start < size:
                needed = HEAD_SIZE + size
                break
            self._place = place = start + size
            yield kind, flags, stream & STREAM_BITS, data[start:place]
        if place < end:
            self._part += data[place:]
            self._needed = needed
        self._data, self._place = b"", 0

    def _take_preface(self) -> bool:
        """Whether the preface is complete. Raises `Http2Error` if it is wrong (3.4)."""
        data = self._data
        start = data[: len(PREFACE)]
        if not PREFACE.startswith(start):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "expected the preface of HTTP/2")
        self.has_preface = start == PREFACE
        if self.has_preface:
            self._place = len(PREFACE)
        else:
            self._part += data
            self._data, self._needed = b"", 0
        return self.has_preface


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    size = len(payload)
    return HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def header_frames(stream: int, block: bytes, *, end: bool) -> bytes:
    """The HEADERS frame of a header block, and its CONTINUATIONs if it is large (6.10)."""
    flags = END_STREAM if end else 0
    if len(block) <= MAX_FRAME:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [block[start : start + MAX_FRAME] for start in range(0, len(block), MAX_FRAME)]
    first = frame(HEADERS, flags, stream, parts[0])
    more = [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
    return b"".join((first, *more, frame(CONTINUATION, END_HEADERS, stream, parts[-1])))


def number(value: int) -> bytes:
    """A payload of one number: of a window update, an error code, a stream."""
    return value.to_bytes(4, "big")


def setting(name: int, value: int) -> bytes:
    """One setting of a SETTINGS frame."""
    return struct.pack(">HI", name, value)


def settings_in(payload: bytes) -> list[tuple[int, int]]:
    """The settings that a SETTINGS frame names. Raises `Http2Error` when it is cut off (6.5)."""
    expect_size(SETTINGS, payload, len(payload) % 6 == 0)
    return list(struct.iter_unpack(">HI", payload))


def check_setting(name: int, value: int) -> None:
    """Raise `Http2Error` for a value that a setting cannot have (6.5.2)."""
    if name == INITIAL_WINDOW and value > MAX_WINDOW:
        raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {value} bytes")
    lowest, highest = SETTING_RANGES.get(name, (0, value))
    if not lowest <= value <= highest:
        message = f"expected setting {name} from {lowest} to {highest}, got {value}"
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, message)


def expect_connection(kind: int, stream: int) -> None:
    """Raise `Http2Error` for a frame of the connection that names a stream (6.5, 6.7, 6.8)."""
    if stream:
        message = f"a frame of type {kind} cannot have a stream, got {stream}"
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, message)


def number_in(kind: int, payload: bytes) -> int:
    """The single number of a payload. Raises `Http2Error` if it has another size (6.4, 6.9)."""
    expect_size(kind, payload, len(payload) == 4)
    return int.from_bytes(payload, "big")


def expect_size(kind: int, payload: bytes, is_right: bool) -> None:  # noqa: FBT001  a condition
    """Raise `Http2Error` unless a frame has a size that its type may have (4.2)."""
    if not is_right:
        message = f"a frame of type {kind} cannot have {len(payload)} bytes"
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, message)


def unpadded(payload: bytes) -> bytes:
    """The payload without padding (6.1)."""
    if not payload or payload[0] >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the padding reaches beyond the frame's end")
    return payload[1 : len(payload) - payload[0]]
