"""Cache parsed header blocks, for clients that repeat the same one.

A client that keeps its connection usually repeats its header block byte for byte. The parsed block
is valid for the same bytes, if only `Content-Length` determines where the message ends. Behind a
proxy that adds an ID to each request, every block is new: such a connection soon stops using the
cache, because a cache that always misses costs more than it saves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

END = b"\r\n\r\n"
MAX_HEADS = 256
MAX_SIZE = 1024  # bytes of a header block
MAX_MISSES = 8  # after this many misses in a row, a connection stops using the cache
# Header fields that need more work than reading a body of known length.
NOT_CACHED = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Head:
    """A parsed header block."""

    method: str
    target: bytes
    fields: Sequence[tuple[bytes, bytes]]
    keep_alive: bool
    length: int  # of the body


class HeaderCache:
    """Header blocks of messages that arrived in one piece; a full cache drops all of them."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Header block and body, if the bytes are one whole message with a known header block."""
        end = data.find(END, 0, MAX_SIZE) + len(END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.length:
            return None
        return head, data[end:]

    def add(self, data: bytes, head: Head) -> None:
        """Cache a parsed header block, if the bytes are exactly this one message."""
        end = data.find(END, 0, MAX_SIZE) + len(END)
        if end < len(END) or len(data) - end != head.length:
            return
        if not NOT_CACHED.isdisjoint(name for name, _ in head.fields):
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[data[:end]] = head
