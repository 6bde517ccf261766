"""Reap orphaned processes of a model: in a container, this process is PID 1."""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prepackaged.server.runtime.event_loop import LoopThread

LOOK_SECONDS = 10  # longer than a parent takes to wait for its own child

PROCESSES = Path("/proc")


def begin_reaping(loop: LoopThread) -> None:
    """Reap orphans on this loop if this process is PID 1."""
    if os.getpid() == 1:
        loop.submit(reap_orphans())


async def reap_orphans() -> None:
    """Reap ended child processes that no other code waits for, again and again."""
    seen: set[int] = set()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        multiprocessing.active_children()  # this waits for multiprocessing's own ended children
        ended = set(ended_children())
        for pid in ended & seen:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        seen = ended - seen


def ended_children() -> Iterator[int]:
    """The children that have ended and were not waited for."""
    for file in PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # it is gone
            state, parent, *_ = file.read_text().rpartition(")")[2].split()
            if state == "Z" and int(parent) == os.getpid():
                yield int(file.parent.name)
