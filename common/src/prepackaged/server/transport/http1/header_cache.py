"""Heads of requests that were parsed before, for clients that send the same again and again.

A client that keeps its connection repeats itself byte for byte, but for the body. What the
parser made of a head holds for the same bytes again, where the message's end is told by its
length alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

END = b"\r\n\r\n"
MOST_HEADS = 256
LARGEST_HEAD = 1024  # bytes
# With these there is more to do than to read a body of known length.
NOT_LEARNED = frozenset({b"expect", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says of a message that asks for a short route."""

    path: str
    headers: Sequence[tuple[bytes, bytes]]
    is_multipart: bool
    handler: Callable[..., Any]
    length: int


class HeaderCache:
    """The heads of whole messages that came in one piece; all are forgotten when too many."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head and the body of what came, if it is one whole message under a known head."""
        end = data.find(END, 0, LARGEST_HEAD) + len(END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.length:
            return None
        return head, data[end:]

    def learn(self, data: bytes, head: Head) -> None:
        """Remember a head as the parser read it, if what came is that one whole message."""
        end = data.find(END, 0, LARGEST_HEAD) + len(END)
        if end < len(END) or len(data) - end != head.length:
            return
        if not NOT_LEARNED.isdisjoint(name for name, _ in head.headers):
            return
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        self._heads[data[:end]] = head
