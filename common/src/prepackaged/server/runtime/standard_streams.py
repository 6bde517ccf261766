"""Standard output and error: open always, and never waited for by the event loop."""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

MOST_WAITING = 2**20  # bytes of lines that nobody reads; then those are dropped


def open_standard_streams() -> None:
    """Open what this process was started without, or a socket would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


class PatientStream:
    """Writes text as its reader takes it: what waits for a pipe that is full goes with later text.

    Raises `OSError` for a file without a descriptor.
    """

    def __init__(self, file: TextIO) -> None:
        self._fd = file.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = bytearray()

    def write(self, text: str) -> None:
        """Write, or keep for later, or drop where too much is kept."""
        self._waiting += text.encode(errors="replace")
        with suppress(OSError):  # nobody reads any more
            while self._waiting and self._poll.poll(0):
                # A pipe that is ready has room for so much.
                del self._waiting[: os.write(self._fd, self._waiting[: select.PIPE_BUF])]
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()

    def flush(self) -> None:
        """Nothing is kept that could be written."""


def patient(file: TextIO) -> TextIO | PatientStream:
    """The same file, for an event loop; itself where it has no descriptor."""
    with suppress(OSError, ValueError):
        return PatientStream(file)
    return file
