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
from prepackaged.server.transport.grpc.calls import CallWithDeadline


class Clock:
    """A fake clock, which only moves when a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock that the admission control reads."""
    clock = Clock()
    monkeypatch.setattr("prepackaged.server.inference.admission.time.perf_counter", clock)
    return clock


def admission(
    call_seconds: float,
    *,
    together: int = 1,
    most_seconds: float | None = None,
    requests: int = 1,
) -> Admission:
    """An admission control whose calls took `call_seconds`, for `requests` requests each."""
    latency = LatencyTracker()
    latency.note_call(call_seconds, requests)
    return Admission(latency, lambda: together, most_seconds)


def request(seconds: float = math.inf, *, is_own: bool = False) -> RequestContext:
    """A request with a deadline, set by the client (`is_own`) or by the server."""
    kind = CallWithDeadline if is_own else RequestContext
    context = kind.__new__(kind)
    RequestContext.__init__(context, "POST", "/", ())
    context.deadline = 1000.0 + seconds
    return context


def most_waiting(
    admission: Admission, clock: Clock, context: RequestContext | None = None, most: int = 5000
) -> int:
    """Return how many requests may wait before the next one is refused."""
    for waiting in range(most + 1):
        try:
            admission.check(waiting, most, clock.now, context)
        except OverloadedError:
            return waiting
    raise AssertionError("any number may wait")


def leave(model: Admission, age: float, times: int = 20) -> None:
    """Record clients that disconnected at this age during their model call."""
    for _ in range(times):
        model.left(age)


def test_requests_are_admitted_by_how_long_they_would_wait(clock: Clock) -> None:
    """The queue is limited to 30 s of estimated work, but always admits a few requests."""
    assert most_waiting(admission(0.02), clock) == 1501
    assert most_waiting(admission(3.0), clock) == 17
    assert most_waiting(admission(0.0001), clock) == 5000


def test_a_configured_limit_applies_to_all_requests(clock: Clock) -> None:
    """A configured limit applies whatever the deadline, but a few requests are always admitted."""
    for context in (None, request(), request(60), request(60, is_own=True)):
        assert most_waiting(admission(0.02, most_seconds=2.5), clock, context) == 126
        assert most_waiting(admission(1.0, most_seconds=2.5), clock, context) == 17
        assert most_waiting(admission(0.1, most_seconds=0), clock, context) == 17


def test_patient_clients_of_a_slow_model_are_not_refused(clock: Clock) -> None:
    """A slow model admits four sequential clients, with or without deadlines."""
    slow = admission(3.0)
    for context in (request(), request(60), request(60, is_own=True)):
        for waiting in range(4):
            slow.check(waiting, 1000, clock.now, context)


def test_requests_that_share_a_call_wait_for_it_together(clock: Clock) -> None:
    """Requests that share a batch wait for one call; an unknown size counts as a known one."""
    assert most_waiting(admission(0.5, together=64), clock) == 3841
    assert most_waiting(admission(4.0, together=8, requests=8), clock) == 16 * 8 + 1


@pytest.mark.parametrize("is_own", [True, False])
def test_a_request_that_cannot_meet_its_deadline_is_refused(clock: Clock, *, is_own: bool) -> None:
    """A request is refused if it cannot meet its deadline, unless the queue is empty."""
    quick = admission(0.02)
    assert most_waiting(quick, clock, request(0.1, is_own=is_own)) == 5
    assert most_waiting(quick, clock, request(0.001, is_own=is_own)) == 1
    assert most_waiting(quick, clock, request(60, is_own=is_own)) == 3000


def test_a_refusal_says_when_to_retry(clock: Clock) -> None:
    """Retry-After is the estimated time until the queue is empty."""
    slow = admission(3.0)
    for waiting, seconds in ((20, 60), (1000, 3000)):
        with pytest.raises(OverloadedError) as caught:
            slow.check(waiting, 1000, clock.now, None)
        assert (caught.value.status_code, caught.value.retry_after) == (503, seconds)


def test_nobody_waits_longer_than_clients_stay_connected(clock: Clock) -> None:
    """The queue is limited to half of the time after which clients disconnected."""
    quick = admission(0.02)
    leave(quick, 0.5)
    assert most_waiting(quick, clock) == 12
    assert quick.is_late(request(), 0.44, clock.now)
    assert not quick.is_late(request(), 0.42, clock.now)


def test_the_learned_limit_grows_while_no_client_disconnects(clock: Clock) -> None:
    """The learned limit grows by half every ten seconds while no client disconnects."""
    quick = admission(0.02)
    leave(quick, 0.5)
    clock.now += STRICT_SECONDS + 1
    assert most_waiting(quick, clock) == 18
    assert not quick.is_late(request(), 0.44, clock.now)
    clock.now += STRICT_SECONDS
    assert most_waiting(quick, clock) == 28
    clock.now += 1e9
    assert most_waiting(quick, clock) == 1501


def test_a_client_s_own_deadline_overrides_the_learned_limit(clock: Clock) -> None:
    """A client's own deadline overrides the learned limit; one set by the server does not."""
    quick = admission(0.02)
    leave(quick, 0.5)
    assert most_waiting(quick, clock, request(60, is_own=True)) == 3000
    assert most_waiting(quick, clock, request(60)) == 12
    assert not quick.is_late(request(60, is_own=True), 5.0, clock.now)
    assert quick.is_late(request(0.01, is_own=True), 0.0, clock.now)


def test_occasional_disconnects_do_not_set_a_limit(clock: Clock) -> None:
    """The limit is only learned once a quarter of the calls were for disconnected clients."""
    quick = admission(0.02)
    for _ in range(20):
        quick.answered(4)
        quick.left(0.5)
    assert most_waiting(quick, clock) == 1501
    leave(quick, 0.5, 6)
    assert most_waiting(quick, clock) == 12


def test_clients_that_disconnect_at_once_do_not_shorten_the_queue(clock: Clock) -> None:
    """Clients that disconnect within two call times or 0.1 s do not shorten the queue."""
    for seconds, waiting in ((0.02, 1501), (3.0, 17)):
        model = admission(seconds)
        leave(model, max(0.1, 2 * seconds) - 0.001, 100)
        assert most_waiting(model, clock) == waiting


def test_the_learned_limit_allows_at_least_two_calls(clock: Clock) -> None:
    """The learned limit always allows two calls and at least a tenth of a second."""
    for seconds, waiting in ((0.02, 6), (1.0, 3)):
        model, least = admission(seconds), max(0.1, 2 * seconds)
        leave(model, least)
        assert most_waiting(model, clock) == waiting
        assert not model.is_late(request(), least, clock.now)


class Held:
    """A model that blocks in its first call until released, and records its inputs."""

    def __init__(self) -> None:
        self.is_entered, self.may_go = threading.Event(), threading.Event()
        self.seen: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.is_entered.set()
        self.may_go.wait(60)
        self.seen.extend(items)
        return list(items)


def outcomes(*contexts: RequestContext | None) -> tuple[list[int], dict[int, Any]]:
    """Queue requests behind a running call; return what the model computed and each outcome."""
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
    """Create a queued request."""
    request = RequestContext("POST", path, ())
    request.left_at = left_at
    return request


def test_requests_past_their_deadline_are_not_computed() -> None:
    """Requests past their deadline are not computed; their own timer answers the client."""
    seen, got = outcomes(context("/late"), context("/good"))
    assert seen == [0, 2]
    assert got == {0: 0, 2: 2}


def test_a_half_closed_client_is_refused_while_others_wait() -> None:
    """While others wait, a half-closed client is refused, since most of those have left."""
    seen, got = outcomes(context("/gone", 0.001), context("/good"), context("/gone", 0.001))
    assert seen == [0, 2, 3]
    assert isinstance(got.pop(1), OverloadedError)
    assert got == {0: 0, 2: 2, 3: 3}


def test_a_client_that_leaves_the_queue_does_not_count() -> None:
    """Only clients that disconnect during their model call count towards the learned limit."""
    ages: list[float] = []

    async def scenario() -> None:
        model = Held()
        with started(ModelThread()) as thread:
            engine = Engine(model, thread.submit, together=lambda: 1, max_waiting=100)
            works = [Work(number, print) for number in range(3)]
            for work in works:
                engine.submit(work)
                work.on_leave = ages.append
                await asyncio.to_thread(model.is_entered.wait, 60)
            for work in works[:2]:
                work.cancel()
                work.cancel()
            model.may_go.set()
            await engine.drained()
        assert model.seen == [0, 2]

    asyncio.run(scenario())
    assert len(ages) == 1


def test_the_age_of_a_half_closed_client_ends_when_it_stops_sending() -> None:
    """The age of a half-closed client ends when it stopped sending, even if noticed later."""
    work = Work(0, print, context=context("/gone", 3.0), since=1.0)
    assert work.age() == 2.0
