"""The memory of a connection's open streams."""

from prepackaged.server.transport.errors import TransportError
from prepackaged.server.transport.http2.core import MOST_CONTINUATIONS
from prepackaged.server.transport.http2.frames import MAX_FRAME
from prepackaged.server.transport.memory import SMALL, MemoryBudget

FREE_STREAMS = 2  # the streams of a connection that do not count in the budget
STREAMS = 8  # the number of further streams for which memory is taken together
STREAM_BYTES = 2**13  # the memory of a stream with a small message
BLOCK_BYTES = (MOST_CONTINUATIONS + 1) * MAX_FRAME  # the memory of an unfinished header block


class StreamMemory:
    """Take memory from the budget of all connections for the streams of one connection.

    A stream without memory is refused, and its client may retry (RFC 9113, 8.7). `room` is the
    number of streams with memory, and `is_used` is true if part of the budget is taken.
    """

    __slots__ = ("_block", "_budget", "_headers", "is_used", "room")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._headers: dict[int, int] = {}  # the large ones, of streams by number
        self._block = 0
        self.room = FREE_STREAMS
        self.is_used = False

    def admits(self, stream: int, opened: int, headers: int) -> bool:
        """Whether there is memory for one more stream than `opened`, with headers of a size."""
        is_large, is_full = headers > SMALL, opened >= self.room
        if not self._takes(headers * is_large + STREAMS * STREAM_BYTES * is_full):
            return False
        if is_large:
            self._headers[stream] = headers
        self.room += STREAMS * is_full
        return True

    def admits_block(self) -> bool:
        """Whether there is memory for an incomplete header block."""
        if not self._block and self._takes(BLOCK_BYTES):
            self._block = BLOCK_BYTES
        return bool(self._block)

    def release_block(self) -> None:
        """Return the memory of a header block that is complete."""
        self._budget.give_back(self._block)
        self._block = 0

    def release(self, stream: int, opened: int) -> None:
        """Return the memory of a stream that ended; `opened` are still open."""
        self._budget.give_back(self._headers.pop(stream, 0))
        spare = max(self.room - max(opened, FREE_STREAMS), 0) // STREAMS
        self.room -= spare * STREAMS
        self._budget.give_back(spare * STREAMS * STREAM_BYTES)
        self.is_used = self.room > FREE_STREAMS or bool(self._headers)

    def close(self) -> None:
        """Return all memory at the end of the connection."""
        self.release_block()
        for stream in list(self._headers):
            self.release(stream, 0)
        self.release(0, 0)

    def _takes(self, size: int) -> bool:
        try:
            self._budget.take(size, is_request=False)
        except TransportError:
            return False
        self.is_used = self.is_used or size > 0
        return True
