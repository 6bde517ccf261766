"""gRPC's framing of messages (gRPC over HTTP/2, "Length-Prefixed-Message").

A byte that says whether the message is compressed, its length in four bytes, the message.
"""

import sys
import zlib
from collections.abc import Callable

from prepackaged.server.transport.compression import TooLargeError, inflated
from prepackaged.server.transport.grpc.status import CallError, Status

PREFIX = 5  # bytes before a message
ENCODINGS = {b"gzip", b"deflate"}


def framed(message: bytes) -> bytes:
    """A message as it is sent."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def only_message(data: bytes, limit: int | None) -> bytes | None:
    """The message, where data is one, whole, within the limit and not compressed."""
    size = len(data) - PREFIX
    if size < 0 or data[0] or int.from_bytes(data[1:PREFIX], "big") != size:
        return None
    return data[PREFIX:] if limit is None or size <= limit else None


def too_large(size: int, limit: int) -> CallError:
    """The error of a message over the limit."""
    why = f"a message of {size} bytes; {limit} are allowed"
    return CallError(Status.RESOURCE_EXHAUSTED, why)


class MessageReader:
    """Finds the messages of one call in data as they arrive.

    `limit` is in bytes of a message; `encoding` is how those are compressed that say so. Whether
    the one does that `next` returned last, `is_compressed` tells.
    """

    __slots__ = ("_encoding", "_limit", "_received", "is_compressed")

    def __init__(self, encoding: bytes, limit: int | None) -> None:
        self._encoding = encoding
        self._limit = limit
        self._received = bytearray()
        self.is_compressed = False

    def feed(self, data: bytes) -> None:
        """Take data."""
        self._received += data

    @property
    def has_bytes(self) -> bool:
        """Whether there are bytes of a message that is not whole, or was not taken."""
        return bool(self._received)

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return len(self._received)

    @property
    def missing(self) -> int:
        """How many bytes the next message lacks, as far as its length is known."""
        if len(self._received) < PREFIX:
            return 0
        return PREFIX + self._length() - len(self._received)

    def next(self) -> bytes | None:
        """The next message that is whole. Raises `CallError` for what cannot become one."""
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
        """Refuse what is too large before it arrives, and what nobody could read."""
        length, limit = self._length(), self._limit
        if limit is not None and length > limit:
            raise too_large(length, limit)
        if self._received[0] > 1:
            why = f"expected a message's first byte to be 0 or 1, got {self._received[0]}"
            raise CallError(Status.INTERNAL, why)
        if self._received[0] and self._encoding not in ENCODINGS:
            name = self._encoding.decode("latin-1")
            raise CallError(Status.UNIMPLEMENTED, f"expected gzip or deflate, got {name}")


def inflated_message(
    message: bytes,
    encoding: bytes,
    limit: int | None,
    hold: Callable[[int], object] = lambda _: None,
) -> bytes:
    """A message that was compressed; `hold` as for `compression.inflated`.

    Raises `CallError`, before it inflates beyond the limit.
    """
    most = sys.maxsize if limit is None else limit
    try:
        return inflated(message, encoding, most, hold)
    except TooLargeError as error:
        why = f"a message that inflates further; {limit} are allowed"
        raise CallError(Status.RESOURCE_EXHAUSTED, why) from error
    except zlib.error as error:
        raise CallError(Status.INVALID_ARGUMENT, f"a compressed message: {error}") from error
