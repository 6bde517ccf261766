"""The parent of several workers."""

import asyncio
import errno
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prepackaged.errors import DeploymentError
from prepackaged.server.runtime import workers
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.workers import (
    LONGEST_PAUSE_SECONDS,
    MOST_FAILURES,
    Supervisor,
    pause_seconds,
)

REASONS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE)  # a system without processes, memory or files


class Scarce:
    """Workers, of which the system refuses the first few; the others serve until they are ended."""

    process = SimpleNamespace(pid=1, kill=lambda: None)
    failure = ""
    serves = has_missed_load = False

    def __init__(self, began: Callable[["Scarce"], object]) -> None:
        self._ended = asyncio.Event()
        self.serves = True
        began(self)

    async def died(self, silence: float = 0) -> int:
        """Wait for `end`."""
        await self._ended.wait()
        return 0

    def end(self) -> None:
        """End it in order."""
        self._ended.set()


def supervised(monkeypatch: pytest.MonkeyPatch, refusals: list[int]) -> None:
    """Run two workers until each has served or the supervisor gives up; refuse the first few."""
    monkeypatch.setattr(workers, "PAUSE_SECONDS", 0)
    config = Config("M", {}, http_port=0, grpc_port=0, metrics_port=0, workers=2)
    serving: list[Scarce] = []

    async def run() -> None:
        is_over = asyncio.Event()

        def start(target: Any, about: Config, number: int, directory: Path, *calls: Any) -> Scarce:
            if refusals:
                raise OSError(reason := refusals.pop(), os.strerror(reason))
            serving.append(Scarce(calls[0]))
            if len(serving) == config.workers:
                is_over.set()
            return serving[-1]

        monkeypatch.setattr(workers, "Worker", start)
        await Supervisor(lambda *_: None, config).run(is_over)

    asyncio.run(run())


def test_the_pause_after_any_number_of_deaths_is_at_most_the_longest() -> None:
    """Pauses grow up to the longest one, also after thousands of deaths in a row."""
    pauses = [pause_seconds(deaths) for deaths in range(1, 5000)]

    assert pauses[:3] == [0.25, 0.5, 1]
    assert all(before <= after for before, after in pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize("reason", REASONS)
def test_a_worker_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: int
) -> None:
    """Without a process, memory or files for a worker, the log says so and the parent goes on."""
    supervised(monkeypatch, [reason] * (MOST_FAILURES - 1))

    said = f"A worker cannot be started: {os.strerror(reason)}; trying again"
    assert caplog.messages == [said] * (MOST_FAILURES - 1)


def test_a_system_that_never_starts_a_worker_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After five refusals in a row and no worker that serves, the error says why."""
    why = "5 workers in a row could not be started: Resource temporarily unavailable"
    with pytest.raises(DeploymentError, match=why):
        supervised(monkeypatch, [errno.EAGAIN] * 100)
