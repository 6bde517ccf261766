"""Keep standard output and error open, and never wait for their readers."""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

LOG_MILLISECONDS = 100  # the wait for the reader of the log, which gets every line unless it hangs
MOST_WAITING = 2**20  # bytes of unread lines; if there are more, all are dropped


def open_standard_streams() -> None:
    """Open streams that are closed at the start; otherwise a socket would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


class PatientStream:
    """Writes text as its reader takes it: what waits for a pipe that is full goes with later text.

    `milliseconds` is how long to wait for a slow reader, until one wait was in vain. Raises
    `OSError` for a file without a descriptor.
    """

    def __init__(self, file: TextIO, milliseconds: int = 0) -> None:
        self._fd = file.fileno()
        self._milliseconds = milliseconds
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = bytearray()

    def write(self, text: str) -> None:
        """Write, or keep for later, or drop where too much is kept."""
        patience = 0 if self._waiting else self._milliseconds
        self._waiting += text.encode(errors="backslashreplace")
        with suppress(OSError):  # the reader has closed it
            while self._waiting and self._poll.poll(patience):
                # A pipe that is ready has room for so much.
                del self._waiting[: os.write(self._fd, self._waiting[: select.PIPE_BUF])]
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()

    def flush(self) -> None:
        """Nothing is kept that could be written."""


def patient(file: TextIO, milliseconds: int = 0) -> TextIO | PatientStream:
    """The same file as a `PatientStream`; itself where it has no descriptor."""
    with suppress(OSError, ValueError):
        return PatientStream(file, milliseconds)
    return file
