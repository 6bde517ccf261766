"""Reap a model's orphaned processes, because the server is PID 1 in a container."""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prepackaged.server.runtime.event_loop import LoopThread

LOOK_SECONDS = 10  # the check interval; longer than a parent takes to wait for its own child

PROCESSES = Path("/proc")


def begin_reaping(loop: LoopThread) -> None:
    """Reap orphans on this loop if this process is PID 1."""
    if os.getpid() == 1:
        loop.submit(reap_orphans())


async def reap_orphans() -> None:
    """Reap child processes that have exited and that no other code waits for; runs forever."""
    seen: set[int] = set()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        multiprocessing.active_children()  # reaps multiprocessing's own children
        ended = set(ended_children())
        for pid in ended & seen:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        seen = ended - seen


def ended_children() -> Iterator[int]:
    """Yield the PIDs of zombie children of this process."""
    for file in PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # the process no longer exists
            state, parent, *_ = file.read_text().rpartition(")")[2].split()
            if state == "Z" and int(parent) == os.getpid():
                yield int(file.parent.name)
