"""Heads that were parsed before, for clients that send the same again and again.

A client that keeps its connection repeats itself byte for byte, but for the body. What the
parser made of a head holds for the same bytes again, where its length alone says where the
message ends. Behind a proxy that adds an id to each request every head is new: such a connection
soon stops looking, for a cache that always misses costs more than it saves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

END = b"\r\n\r\n"
MAX_HEADS = 256
MAX_SIZE = 1024  # bytes of a head
MAX_MISSES = 8  # in a row, after which a connection looks no more
# With these there is more to do than to read a body of known length.
NOT_CACHED = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Head:
    """What the parser made of a request's head."""

    method: str
    target: bytes
    fields: Sequence[tuple[bytes, bytes]]
    keep_alive: bool
    length: int  # of the body


class HeaderCache:
    """The heads of whole messages that arrived in one piece; all are dropped when too many."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head and the body of these bytes, if they are one whole message with a known head."""
        end = data.find(END, 0, MAX_SIZE) + len(END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.length:
            return None
        return head, data[end:]

    def add(self, data: bytes, head: Head) -> None:
        """Remember a head as the parser read it, if the bytes are that one whole message."""
        end = data.find(END, 0, MAX_SIZE) + len(END)
        if end < len(END) or len(data) - end != head.length:
            return
        if not NOT_CACHED.isdisjoint(name for name, _ in head.fields):
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[data[:end]] = head
