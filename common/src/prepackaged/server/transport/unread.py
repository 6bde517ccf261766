"""Responses that wait for their client to read them."""

import asyncio
from collections.abc import Callable
from typing import Any

from prepackaged.server.transport.memory import MemoryBudget

READER_SECONDS = 60  # for a client to take some of what waits for it


class Unread:
    """Counts what waits in the memory of all requests, and gives up a client that takes nothing.

    `look` returns how many bytes wait, and something that changes whenever the client has taken
    some of them. `give_up` is called when it has not for READER_SECONDS.
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
        """Count what waits now."""
        size, progress = self._look()
        self._count(size)
        if size and not self._timer:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(READER_SECONDS, self._expect, progress)

    def close(self) -> None:
        """Nothing waits any more."""
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
