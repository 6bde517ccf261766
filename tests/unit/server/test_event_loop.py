import asyncio
import threading

import pytest

from prepackaged import DeploymentError
from prepackaged.server.runtime.event_loop import LoopThread


def test_coroutines_run_while_their_caller_does_other_work() -> None:
    """The loop runs on its own thread and returns results to other threads."""
    gate = threading.Event()

    async def work() -> int:
        gate.set()
        return threading.get_ident()

    with LoopThread() as loop:
        future = loop.submit(work())
        assert gate.wait(30)
        assert future.result(30) != threading.get_ident()
        assert not loop.ended.done()


def test_an_exception_is_raised_to_the_caller() -> None:
    """An exception is raised to the caller and does not end the loop."""

    async def fail() -> None:
        raise KeyError("missing")

    with LoopThread() as loop:
        with pytest.raises(KeyError, match="missing"):
            loop.run(fail())
        assert loop.run(asyncio.sleep(0, "next")) == "next"


def test_a_coroutine_that_exits_does_not_end_the_loop() -> None:
    """SystemExit is raised to the caller, and the loop goes on."""

    async def leave() -> None:
        raise SystemExit("bye")

    with LoopThread() as loop:
        with pytest.raises(SystemExit, match="bye"):
            loop.run(leave())
        assert loop.run(asyncio.sleep(0, "next")) == "next"


def test_the_cause_of_the_loops_end_is_raised() -> None:
    """If something ends the loop, `ended` raises it instead of waiting forever."""

    async def leave() -> None:
        asyncio.get_running_loop().call_soon(exit, 3)

    with LoopThread() as loop:
        loop.run(leave())
        with pytest.raises(DeploymentError, match="the server has ended: SystemExit: 3"):
            loop.ended.result(30)
