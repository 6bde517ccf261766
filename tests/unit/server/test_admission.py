import asyncio
import math
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from prepackaged.server.inference.admission import (
    STRICT_SECONDS,
    Admission,
    OverloadedError,
)
from prepackaged.server.inference.engine import Engine
from prepackaged.server.inference.latency import LatencyTracker
from prepackaged.server.inference.model_thread import ModelThread, started
from prepackaged.server.inference.work import Work
from prepackaged.server.telemetry.context import RequestContext


class Clock:
    """A time that stands still unless it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that admission looks at."""
    clock = Clock()
    monkeypatch.setattr("prepackaged.server.inference.admission.time.perf_counter", clock)
    return clock


def admission(
    call_seconds: float, *, together: int = 1, most_seconds: float = 2.5, requests: int = 1
) -> Admission:
    """Admission to a model whose calls, for so many requests, take so long."""
    latency = LatencyTracker()
    latency.note_call(call_seconds, requests)
    return Admission(latency, lambda: together, most_seconds)


def most_waiting(admission: Admission, clock: Clock, deadline: float = math.inf) -> int:
    """How many requests may wait."""
    for waiting in range(1001):
        try:
            admission.check(waiting, 1000, clock.now, deadline)
        except OverloadedError:
            return waiting
    raise AssertionError("any number may wait")


def test_requests_are_admitted_by_how_long_they_would_wait(clock: Clock) -> None:
    """Calls of 20 ms for 2.5 s; and of a slow model as many as are no crowd."""
    assert most_waiting(admission(0.02), clock) == 126
    assert most_waiting(admission(1.0), clock) == 17
    assert most_waiting(admission(0.0001), clock) == 1000


def test_requests_that_share_a_call_wait_for_it_together(clock: Clock) -> None:
    """Of 64 at a time more may wait, and sizes that are not known yet count as the known ones."""
    assert most_waiting(admission(0.5, together=64), clock) == 1000
    assert most_waiting(admission(1.0, together=8, requests=8), clock) == 16 * 8 + 1


def test_the_wait_has_to_end_before_the_deadline(clock: Clock) -> None:
    """The client's own, which gRPC sends along; with nobody before it a request is always tried."""
    quick = admission(0.02)
    assert most_waiting(quick, clock, clock.now + 0.1) == 6
    assert most_waiting(quick, clock, clock.now + 0.001) == 1


def test_a_refusal_tells_when_to_come_again(clock: Clock) -> None:
    """When those who wait are answered, and at least a second from now."""
    slow = admission(1.0)
    for waiting, seconds in ((20, 20), (1000, 1000)):
        with pytest.raises(OverloadedError) as caught:
            slow.check(waiting, 1000, clock.now, math.inf)
        assert (caught.value.status_code, caught.value.retry_after) == (503, seconds)


def test_nobody_waits_longer_than_clients_stay(clock: Clock) -> None:
    """Half of the patience of those who left is for the wait; then it is forgotten again."""
    quick = admission(0.02)
    for _ in range(5):
        quick.left(0.5)
    assert most_waiting(quick, clock) == 12
    assert quick.is_late(0.44, clock.now)
    assert not quick.is_late(0.42, clock.now)
    clock.now += STRICT_SECONDS + 1
    assert most_waiting(quick, clock) == 126
    assert not quick.is_late(2.0, clock.now)


def test_a_client_that_leaves_now_and_then_does_not_matter(clock: Clock) -> None:
    """Somebody always does; only when one in ten leaves it is because of the queue."""
    quick = admission(0.02)
    quick.answered(100)
    for _ in range(9):
        quick.left(0.01)
    assert most_waiting(quick, clock) == 126
    for _ in range(3):
        quick.left(0.5)
    assert most_waiting(quick, clock) == 12


def test_clients_that_leave_at_once_keep_nobody_out(clock: Clock) -> None:
    """A tenth of a second, and two calls, are waited for whatever others do."""
    for seconds, waiting in ((0.02, 6), (1.0, 3)):
        model = admission(seconds)
        for _ in range(100):
            model.left(0.001)
        assert most_waiting(model, clock) == waiting
        assert not model.is_late(max(0.1, 2 * seconds), clock.now)


class Held:
    """A model that holds its first call until it is let go, and notes what it is asked."""

    def __init__(self) -> None:
        self.is_entered, self.may_go = threading.Event(), threading.Event()
        self.seen: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.is_entered.set()
        self.may_go.wait(60)
        self.seen.extend(items)
        return list(items)


def outcomes(*contexts: RequestContext | None) -> tuple[list[int], dict[int, Any]]:
    """What a model saw, and who got what, of requests that waited for another one."""
    model, got = Held(), {}

    async def scenario() -> None:
        with started(ModelThread()) as thread:
            engine = Engine(model, thread.submit, together=lambda: 1, max_waiting=100)
            engine.submit(Work(0, lambda outcome: got.update({0: outcome})))
            await asyncio.to_thread(model.is_entered.wait, 60)
            for number, context in enumerate(contexts, 1):
                done = lambda outcome, number=number: got.update({number: outcome})  # noqa: E731
                engine.submit(Work(number, done, context=context))
            for context in filter(None, contexts):
                context.deadline = min(context.deadline, 0.0) if context.path == "/late" else 1e12
            model.may_go.set()
            await engine.drained()

    asyncio.run(scenario())
    return model.seen, got


def context(path: str, left_at: float = 0.0) -> RequestContext:
    """A request that waits."""
    request = RequestContext("POST", path, ())
    request.left_at = left_at
    return request


def test_what_is_past_its_deadline_is_not_computed() -> None:
    """Its own timer tells the client; the model works for the others."""
    seen, got = outcomes(context("/late"), context("/good"))
    assert seen == [0, 2]
    assert got == {0: 0, 2: 2}


def test_a_client_that_sends_no_more_is_not_computed_while_others_wait() -> None:
    """Most of those have left; without others it is answered, for some do still read."""
    seen, got = outcomes(context("/gone", 0.001), context("/good"), context("/gone", 0.001))
    assert seen == [0, 2, 3]
    assert isinstance(got.pop(1), OverloadedError)
    assert got == {0: 0, 2: 2, 3: 3}
