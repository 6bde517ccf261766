"""The size of a request's head, and the memory of one that is not whole.

A field counts 32 bytes more than its name and value, as in HTTP/2 (RFC 9113, 6.5.2): many small
fields take far more memory than they have bytes.
"""

from collections.abc import Sequence

from prepackaged.server.transport.errors import TransportError
from prepackaged.server.transport.memory import SMALL, MemoryBudget

MAX_HEAD = 64 * 1024  # bytes of a request line and its header fields
FIELD_OVERHEAD = 32  # bytes that a field counts for, at least,
FIELD_BYTES = 150  # and those that it takes
LEAST_FIELD = 4  # bytes: a letter, a colon, an end of line
#: Bytes that hold no head which is too large, whatever its fields are.
ALWAYS_FITS = MAX_HEAD * LEAST_FIELD // (FIELD_OVERHEAD + LEAST_FIELD)

Fields = Sequence[tuple[bytes, bytes]]


def too_large() -> TransportError:
    """The refusal of a head over the limit."""
    why = f"expected a request's head of at most {MAX_HEAD} bytes, a field counting"
    return TransportError(431, f"{why} {FIELD_OVERHEAD} more than it has")


def memory_of(target: bytes, fields: Fields) -> int:
    """The memory that a whole head takes. Raises `TransportError` where it is over the limit."""
    size = len(target) + sum(len(name) + len(value) for name, value in fields)
    if size + FIELD_OVERHEAD * len(fields) > MAX_HEAD:
        raise too_large()
    return size + FIELD_BYTES * len(fields)


class PartialHead:
    """A head that takes several reads: its bytes, less the first part, and its memory."""

    __slots__ = ("_budget", "_held", "_size")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held = self._size = 0

    def grow(self, size: int, fields: int) -> None:
        """Count more bytes. Raises `TransportError` where it is too large, or takes too much."""
        self._size += size
        if self._size + FIELD_OVERHEAD * fields > MAX_HEAD:
            raise too_large()
        memory = self._size + FIELD_BYTES * fields
        if memory > max(self._held, SMALL):
            self._budget.take(memory - self._held, self._held, is_request=False)
            self._held = memory

    def clear(self) -> None:
        """It is whole, or over."""
        self._size = 0
        if self._held:
            self._budget.give_back(self._held)
            self._held = 0
