import asyncio
import ctypes
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from waiting import wait_until

from prepackaged.server.runtime import orphans
from prepackaged.server.runtime.orphans import ended_children, reap_orphans

PR_SET_CHILD_SUBREAPER = 36
LEAVE_ONE_BEHIND = "import subprocess; subprocess.Popen(['true'])"


@pytest.fixture
def as_init(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process adopt orphans below it, as PID 1 does, and look at them often.

    Children of other tests that have ended are reaped first, so that only new ones are counted.
    """
    for pid in set(ended_children()):
        os.waitpid(pid, os.WNOHANG)
    monkeypatch.setattr(orphans, "LOOK_SECONDS", 0.01)
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0)


async def until_reaped() -> None:
    """Reap until there is nothing that has ended."""
    reaping = asyncio.create_task(reap_orphans())
    while set(ended_children()):
        await asyncio.sleep(0.01)
    reaping.cancel()


def test_orphans_are_reaped(as_init: None) -> None:
    """A model's child may leave children behind at every request."""
    subprocess.run([sys.executable, "-c", LEAVE_ONE_BEHIND], check=True)
    wait_until(lambda: len(set(ended_children())) == 1)
    asyncio.run(until_reaped())
    assert set(ended_children()) == set()


def test_children_of_the_model_s_keep_their_exit_status(as_init: None) -> None:
    """Whoever waits late learns what multiprocessing has kept."""
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(3,))
    child.start()
    wait_until(lambda: set(ended_children()) == {child.pid})
    asyncio.run(until_reaped())
    assert child.exitcode == 3
