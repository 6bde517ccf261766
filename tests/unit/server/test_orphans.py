import asyncio
import ctypes
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import wait_until

from prepackaged.server.runtime import orphans
from prepackaged.server.runtime.orphans import begin_reaping, ended_children, reap_orphans

PR_SET_CHILD_SUBREAPER = 36
# not Popen, which polls its process once more when it is deleted
LEAVE_ONE_BEHIND = "import os; print(os.posix_spawnp('true', ['true'], os.environ))"


@pytest.fixture
def as_init(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process adopt orphans, as PID 1 does, and check for them often."""
    monkeypatch.setattr(orphans, "LOOK_SECONDS", 0.01)
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0)


async def until_reaped(child: int) -> None:
    """Run the reaper until this child, which has ended, is reaped."""
    reaping = asyncio.create_task(reap_orphans())
    while child in ended_children():
        await asyncio.sleep(0.01)
    reaping.cancel()


def test_orphans_are_reaped(as_init: None) -> None:
    """Orphans that a child of the model leaves behind are reaped."""
    parent = [sys.executable, "-c", LEAVE_ONE_BEHIND]
    orphan = int(subprocess.run(parent, check=True, stdout=subprocess.PIPE).stdout)
    wait_until(lambda: orphan in ended_children())
    asyncio.run(until_reaped(orphan))
    assert orphan not in ended_children()


@pytest.mark.parametrize(("pid", "begun"), [(1, ["reap_orphans"]), (2, [])])
def test_the_first_process_of_a_container_reaps(
    monkeypatch: pytest.MonkeyPatch, pid: int, begun: list[str]
) -> None:
    """Only PID 1 reaps orphans: another process adopts none."""
    submitted: list[Any] = []
    monkeypatch.setattr(os, "getpid", lambda: pid)
    begin_reaping(SimpleNamespace(submit=submitted.append))  # type: ignore[arg-type]
    for coroutine in submitted:
        coroutine.close()
    assert [each.__name__ for each in submitted] == begun


def test_children_of_the_model_keep_their_exit_status(as_init: None) -> None:
    """Children that multiprocessing started keep their exit status when reaped."""
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(3,))
    child.start()
    wait_until(lambda: child.pid in ended_children())
    asyncio.run(until_reaped(child.pid))
    assert child.exitcode == 3
