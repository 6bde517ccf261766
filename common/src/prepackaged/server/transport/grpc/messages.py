"""gRPC's framing of messages (gRPC over HTTP/2, "Length-Prefixed-Message").

A byte that says whether the message is compressed, its length in four bytes, the message.
"""

import zlib

from prepackaged.server.transport.grpc.status import CallError, Status

PREFIX = 5  # bytes before a message
LARGEST_INFLATED = 2**26  # bytes of a compressed message, where no limit is set
WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


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

    `limit` is in bytes of a message, compressed or not; `encoding` is how they are compressed.
    """

    __slots__ = ("_encoding", "_limit", "_received")

    def __init__(self, encoding: bytes, limit: int | None) -> None:
        self._encoding = encoding
        self._limit = limit
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        """Take data."""
        self._received += data

    @property
    def has_bytes(self) -> bool:
        """Whether there are bytes of a message that is not whole, or was not taken."""
        return bool(self._received)

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
        is_compressed = received[0]
        with memoryview(received) as view:
            message = bytes(view[PREFIX:end])
        del received[:end]
        return inflated(message, self._encoding, self._limit) if is_compressed else message

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
        if self._received[0] and self._encoding not in WINDOW_BITS:
            name = self._encoding.decode("latin-1")
            raise CallError(Status.UNIMPLEMENTED, f"expected gzip or deflate, got {name}")


def inflated(message: bytes, encoding: bytes, limit: int | None) -> bytes:
    """A message that was compressed. Raises `CallError`, before it inflates beyond the limit."""
    inflater = zlib.decompressobj(WINDOW_BITS[encoding])
    limit = LARGEST_INFLATED if limit is None else limit
    try:
        whole = inflater.decompress(message, limit + 1)
    except zlib.error as error:
        raise CallError(Status.INVALID_ARGUMENT, f"a compressed message: {error}") from error
    if len(whole) > limit:
        raise too_large(len(whole), limit)
    if not inflater.eof:
        raise CallError(Status.INVALID_ARGUMENT, "a compressed message is not whole")
    return whole
