"""Responses that clients do not read."""

import asyncio
import fcntl
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

from prepackaged.server.transport.memory import MemoryBudget

READER_SECONDS = 60  # the time for a client to read some of the waiting bytes


def kept_by_kernel(transport: Any) -> int:
    """The bytes written to a client that its side has not taken; 0 if only the kernel knows.

    A slow client takes minutes for the megabytes in there, and the server's own buffer waits.
    """
    socket = transport.get_extra_info("socket")
    if socket is None or sys.platform != "linux":
        return 0
    try:
        kept = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # it is closed
        return 0
    return int(struct.unpack("i", kept)[0])


class Unread:
    """Counts unread bytes in the memory budget, and drops a client that reads nothing.

    `look` returns the number of unread bytes, and a value that changes whenever the client has read
    some. `give_up` is called if it has not changed for READER_SECONDS.
    """

    def __init__(
        self,
        memory: MemoryBudget,
        look: Callable[[], tuple[int, Any]],
        give_up: Callable[[], object],
    ) -> None:
        self._memory = memory
        self._look = look
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0

    def update(self) -> None:
        """Count the unread bytes again."""
        size, progress = self._look()
        self._count(size)
        if size and not self._timer:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(READER_SECONDS, self._expect, progress)

    def close(self) -> None:
        """Stop counting."""
        self._count(0)
        if self._timer:
            self._timer.cancel()  # or it would keep all this until it is over
        del self._look, self._give_up  # they lead back here, a cycle

    def _count(self, size: int) -> None:
        self._memory.charge(size - self.size)
        self.size = size

    def _expect(self, before: Any) -> None:
        self._timer = None
        size, progress = self._look()
        if size and progress == before:
            self._give_up()
        else:
            self.update()
