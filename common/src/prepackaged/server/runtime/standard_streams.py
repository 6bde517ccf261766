"""Keep standard output and error open, and do not wait for readers that hang."""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

LOG_MILLISECONDS = 100  # the wait for the reader of the log: only a reader that hangs loses lines
MOST_WAITING = 2**20  # the most bytes of unwritten text; if there are more, all are dropped


def open_standard_streams() -> None:
    """Open standard streams that are closed, so that no socket gets their descriptors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system assigns the lowest free descriptor
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


class PatientStream:
    """Writes text as fast as its reader reads; text that does not fit into a pipe waits.

    Each write waits up to `milliseconds` for a slow reader; while older text is unwritten, it does
    not wait. Raises `OSError` for a file without a descriptor.
    """

    def __init__(self, file: TextIO, milliseconds: int = 0) -> None:
        self._fd = file.fileno()
        self._milliseconds = milliseconds
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = bytearray()

    def write(self, text: str) -> None:
        """Write as much as possible and keep the rest; drop it if there is too much."""
        patience = 0 if self._waiting else self._milliseconds
        self._waiting += text.encode(errors="backslashreplace")
        with suppress(OSError):  # the reader has closed it
            while self._waiting and self._poll.poll(patience):
                # A pipe that is ready accepts PIPE_BUF bytes without blocking.
                del self._waiting[: os.write(self._fd, self._waiting[: select.PIPE_BUF])]
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()

    def flush(self) -> None:
        """Do nothing, because `write` has written all that the reader accepts."""


def patient(file: TextIO, milliseconds: int = 0) -> TextIO | PatientStream:
    """A `PatientStream` of the file, or the file itself if it has no descriptor."""
    with suppress(OSError, ValueError):
        return PatientStream(file, milliseconds)
    return file
