"""The access log: a line for every request, written a loop's turn at a time."""

import asyncio
import sys
from typing import TextIO


class AccessLog:
    """Collects lines and writes them together, so that logging costs little under load."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._loop = asyncio.get_running_loop()

    def __call__(self, method: str, path: str, status: int, size: int, seconds: float) -> None:
        """Note a request that was answered with `size` bytes after so many seconds."""
        if not self._lines:
            self._loop.call_soon(self.flush)
        self._lines.append(f'"{method} {path}" {status} {size}B {seconds * 1000:.1f}ms\n')

    def flush(self) -> None:
        """Write what was noted."""
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()
