"""HTTP/2's frames, as far as gRPC needs them (RFC 9113, sections 4, 6 and 7)."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">BHBBI")  # length in 24 bits, type, flags, stream
HEAD_SIZE = HEAD.size
STREAM_BITS = 2**31 - 1
MAX_FRAME = 16_384  # bytes: what every peer takes, and what ours have to keep to
MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535

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

# Settings
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME_SIZE, MAX_HEADERS = range(
    1, 7
)


class Frame(NamedTuple):
    """A frame that came; its stream is 0 when it is the connection's."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def has(self, flag: int) -> bool:
        """Whether a flag is set."""
        return bool(self.flags & flag)


class ErrorCode(IntEnum):
    """Why a stream or a connection is ended."""

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
    """The peer broke a rule so that the connection cannot go on."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class FrameReader:
    """Finds frames in bytes as they come."""

    def __init__(self) -> None:
        self.is_greeted = False
        self._rest = b""

    def frames_in(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole. Raises `Http2Error` for what is none."""
        data = self._rest + data if self._rest else data
        place, end = self._preface_size(data), len(data)
        while self.is_greeted and end - place >= HEAD_SIZE:
            high, low, kind, flags, stream = HEAD.unpack_from(data, place)
            start, size = place + HEAD_SIZE, high << 16 | low
            if size > MAX_FRAME:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            if start + size > end:
                break
            place = start + size
            yield Frame(kind, flags, stream & STREAM_BITS, data[start:place])
        self._rest = data[place:]

    def _preface_size(self, data: bytes) -> int:
        """How much of the data is the preface; nothing of it is taken before it is whole."""
        if self.is_greeted:
            return 0
        start = data[: len(PREFACE)]
        if not PREFACE.startswith(start):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "this is no HTTP/2")
        self.is_greeted = start == PREFACE
        return len(PREFACE) if self.is_greeted else 0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    size = len(payload)
    return HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def number(value: int) -> bytes:
    """A payload of one number: of a window update, an error code, a stream."""
    return value.to_bytes(4, "big")


def setting(name: int, value: int) -> bytes:
    """One setting of a SETTINGS frame."""
    return struct.pack(">HI", name, value)


def settings_in(payload: bytes) -> list[tuple[int, int]]:
    """The settings that a SETTINGS frame names. Raises `Http2Error` when it is cut off."""
    if len(payload) % 6:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS frame of a wrong length")
    return list(struct.iter_unpack(">HI", payload))


def number_in(payload: bytes) -> int:
    """The one number of a payload. Raises `Http2Error` when there is none."""
    if len(payload) != 4:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"expected 4 bytes, got {len(payload)}")
    return int.from_bytes(payload, "big")


def unpadded(payload: bytes) -> bytes:
    """What lies between the length of the padding and the padding."""
    if not payload or payload[0] >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "padding beyond the frame's end")
    return payload[1 : len(payload) - payload[0]]
