"""gRPC's framing of messages (gRPC over HTTP/2, "Length-Prefixed-Message").

A byte for compression, the length in four bytes, the message.
"""

import sys
import zlib
from collections.abc import Callable

from prepackaged.server.transport.compression import TooLargeError, inflated
from prepackaged.server.transport.grpc.status import CallError, Status

PREFIX = 5  # bytes before a message
ENCODINGS = {b"gzip", b"deflate"}
IDENTITY = b"identity"  # no compression


def framed(message: bytes) -> bytes:
    """A message with its prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def only_message(data: bytes, limit: int | None) -> bytes | None:
    """The message, if data is exactly one, complete, within the limit and not compressed."""
    size = len(data) - PREFIX
    if size < 0 or data[0] or int.from_bytes(data[1:PREFIX], "big") != size:
        return None
    return data[PREFIX:] if limit is None or size <= limit else None


def too_large(size: int, limit: int) -> CallError:
    """The error for a message over the limit."""
    why = f"expected a message of at most {limit} bytes, got {size}"
    return CallError(Status.RESOURCE_EXHAUSTED, why)


class MessageReader:
    """Split arriving data into the messages of a call.

    `limit` is in bytes of a message; `encoding` is the compression of messages that are marked so.
    `is_compressed` is true if the last message that `next` returned was.
    """

    __slots__ = ("_encoding", "_limit", "_received", "is_compressed")

    def __init__(self, encoding: bytes, limit: int | None) -> None:
        self._encoding = encoding
        self._limit = limit
        self._received = bytearray()
        self.is_compressed = False

    def feed(self, data: bytes) -> None:
        """Add data."""
        self._received += data

    @property
    def has_bytes(self) -> bool:
        """Whether there are bytes of an incomplete message, or of one that was not taken."""
        return bool(self._received)

    @property
    def size(self) -> int:
        """The number of these bytes."""
        return len(self._received)

    @property
    def missing(self) -> int:
        """The bytes that the next message lacks, as far as its length is known."""
        if len(self._received) < PREFIX:
            return 0
        return PREFIX + self._length() - len(self._received)

    def next(self) -> bytes | None:
        """The next complete message. Raises `CallError` for data that cannot become one."""
        received = self._received
        if len(received) < PREFIX:
            return None
        self._check_prefix()
        end = PREFIX + self._length()
        if len(received) < end:
            return None
        self.is_compressed = bool(received[0])
        with memoryview(received) as view:
            message = bytes(view[PREFIX:end])
        del received[:end]
        return message

    def _length(self) -> int:
        return int.from_bytes(self._received[1:PREFIX], "big")

    def _check_prefix(self) -> None:
        """Refuse a message before it arrives if it is too large or cannot be read."""
        length, limit = self._length(), self._limit
        if limit is not None and length > limit:
            raise too_large(length, limit)
        if self._received[0] > 1:
            why = f"expected a message's first byte to be 0 or 1, got {self._received[0]}"
            raise CallError(Status.INTERNAL, why)
        if self._received[0] and self._encoding == IDENTITY:
            raise CallError(Status.INTERNAL, "expected grpc-encoding for a compressed message")
        if self._received[0] and self._encoding not in ENCODINGS:
            name = self._encoding.decode("latin-1")
            raise CallError(Status.UNIMPLEMENTED, f"expected gzip or deflate, got {name}")


def inflated_message(
    message: bytes,
    encoding: bytes,
    limit: int | None,
    hold: Callable[[int], object] = lambda _: None,
) -> bytes:
    """The decompressed message; `hold` as for `compression.inflated`.

    Raises `CallError`, before it inflates beyond the limit.
    """
    most = sys.maxsize if limit is None else limit
    try:
        return inflated(message, encoding, most, hold)
    except TooLargeError as error:
        why = f"expected a message of at most {limit} bytes, got more, inflated"
        raise CallError(Status.RESOURCE_EXHAUSTED, why) from error
    except zlib.error as error:
        why = f"expected a message in {encoding.decode('latin-1')}: {error}"
        raise CallError(Status.INVALID_ARGUMENT, why) from error
