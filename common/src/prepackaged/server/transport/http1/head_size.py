"""The size of a request's header block, and the memory of an incomplete one.

A field counts 32 bytes more than its name and value, as in HTTP/2 (RFC 9113, 6.5.2), because many
small fields take far more memory than their bytes.
"""

from collections.abc import Sequence

from prepackaged.server.transport.errors import TransportError
from prepackaged.server.transport.memory import SMALL, MemoryBudget

MAX_HEAD = 64 * 1024  # bytes of a request line and its header fields
FIELD_OVERHEAD = 32  # bytes that count for a field besides its name and value
FIELD_BYTES = 150  # bytes of memory that a field takes besides them
LEAST_FIELD = 4  # bytes: a letter, a colon, an end of line
#: A header block of at most this many bytes is within the limit, whatever its fields.
ALWAYS_FITS = MAX_HEAD * LEAST_FIELD // (FIELD_OVERHEAD + LEAST_FIELD)

Fields = Sequence[tuple[bytes, bytes]]


def too_large() -> TransportError:
    """The error for a header block over the limit."""
    why = f"expected a request line and headers of at most {MAX_HEAD} bytes"
    return TransportError(431, f"{why}, where each header counts {FIELD_OVERHEAD} bytes more")


def memory_of(target: bytes, fields: Fields) -> int:
    """The memory of a whole header block. Raises `TransportError` if it is over the limit."""
    size = len(target) + sum(len(name) + len(value) for name, value in fields)
    if size + FIELD_OVERHEAD * len(fields) > MAX_HEAD:
        raise too_large()
    return size + FIELD_BYTES * len(fields)


class PartialHead:
    """Bytes of an incomplete header block, excluding the first chunk, and their memory."""

    __slots__ = ("_budget", "_held", "_size")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held = self._size = 0

    def grow(self, size: int, fields: int) -> None:
        """Count more bytes. Raises `TransportError` if the block or its memory is too large."""
        self._size += size
        if self._size + FIELD_OVERHEAD * fields > MAX_HEAD:
            raise too_large()
        memory = self._size + FIELD_BYTES * fields
        if memory > max(self._held, SMALL):
            self._budget.take(memory - self._held, self._held, is_request=False)
            self._held = memory

    def clear(self) -> None:
        """Return the memory: the block is complete or given up."""
        self._size = 0
        if self._held:
            self._budget.give_back(self._held)
            self._held = 0
