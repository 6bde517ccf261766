"""Minutes of overload of a model that takes 20 ms, simulated on a fake clock."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from prepackaged.server.inference.admission import Admission, OverloadedError
from prepackaged.server.inference.latency import LatencyTracker
from prepackaged.server.inference.queue import WorkQueue
from prepackaged.server.inference.work import Work
from prepackaged.server.telemetry.context import RequestContext

CALL = 0.02  # seconds
CAPACITY = 1 / CALL  # requests per second
FOR_EVER = 1e6  # seconds until a client disconnects


@dataclass
class World:
    """A simulation of a model, its queue and its clients, which records the age of each outcome."""

    max_wait: float | None = None
    now: float = 1000.0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    then: Callable[[], None] | None = None  # called after each answer

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._is_busy = False
        self._latency = LatencyTracker()
        self._admission = Admission(self._latency, lambda: 1, self.max_wait)
        self._queue = WorkQueue(
            self._admission,
            lambda: 1,
            self._refuse,
            max_waiting=5000,
            max_rows=math.inf,
            max_bytes=math.inf,
        )

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Schedule an event."""
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def run(self, seconds: float) -> None:
        """Run all events of this period."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def ask(self, patience: float = FOR_EVER) -> None:
        """Send a request; its client disconnects after `patience` seconds without an answer."""
        work = Work(None, print, context=RequestContext("POST", "/", ()))
        try:
            self._queue.add(work)
        except OverloadedError:
            self.refused.append(0.0)
            return
        self.at(self.now + patience, lambda: self._leave(work))
        if not self._is_busy:
            self._call()

    def load(self, times: float, seconds: float, patience: float = FOR_EVER) -> None:
        """Send evenly spaced requests at this multiple of the model's capacity."""
        number = int(times * CAPACITY * seconds)
        for each in range(number):
            self.at(self.now + each * seconds / number, lambda: self.ask(patience))

    def _leave(self, work: Work) -> None:
        if work.is_wanted:
            self.left.append(work.age())
            work.cancel()

    def _refuse(self, work: Work, _: OverloadedError) -> None:
        work.is_wanted = False
        self.refused.append(work.age())

    def _call(self) -> None:
        works = self._queue.take()
        self._is_busy = bool(works)
        if works:
            self.at(self.now + CALL, lambda: self._answer(works[0]))

    def _answer(self, work: Work) -> None:
        self._latency.note_call(CALL, 1)
        if work.is_wanted:
            work.is_wanted = False
            self.answered.append(work.age())
            self._admission.answered()
        if self.then:
            self.then()
        self._call()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
    """A simulation whose clock the server reads."""
    world = World(getattr(request, "param", None))
    monkeypatch.setattr("time.perf_counter", lambda: world.now)
    return world


@pytest.mark.parametrize("patience", [0.5, 2.0, 10.0, FOR_EVER])
def test_at_five_times_its_capacity_a_model_works_for_clients_that_stay(
    world: World, patience: float
) -> None:
    """At five times its capacity, a model spends 90% of its time or more on clients that stay."""
    world.load(5, 20, patience)
    world.run(20)
    assert len(world.answered) >= 0.9 * CAPACITY * 20


@pytest.mark.parametrize("patience", [0.5, 2.0, 10.0, FOR_EVER])
def test_requests_are_refused_at_once_and_no_client_disconnects(
    world: World, patience: float
) -> None:
    """After three seconds requests are only refused on arrival, and no client disconnects."""
    world.load(5, 20, patience)
    world.run(3)
    world.refused, world.left = [], []
    world.run(17)
    assert max(world.refused) == 0.0
    assert world.left == []


@pytest.mark.parametrize("patience", [10.0, FOR_EVER])
def test_patient_clients_that_are_admitted_are_answered_soon(world: World, patience: float) -> None:
    """All patient clients that are admitted get an answer within 4.5 s."""
    world.load(5, 20, patience)
    world.run(60)
    assert not world.left
    assert not any(world.refused)
    assert max(world.answered) < 4.5


def test_an_overload_ends_with_its_cause(world: World) -> None:
    """Soon after an overload, the queue is empty, and a burst is admitted again."""
    world.load(5, 20)
    world.run(20 + 3)
    refusals = len(world.refused)
    world.ask()
    world.run(CALL)
    assert world.answered[-1] == pytest.approx(CALL)
    for _ in range(1000):
        world.ask()
    world.run(60)
    assert len(world.refused) == refusals


def test_a_whole_burst_is_answered(world: World) -> None:
    """A burst of 1,000 requests in 0.5 s and the normal load after it are all answered."""
    world.load(40, 0.5)
    world.run(1)
    world.load(1, 30)
    world.run(90)
    assert (len(world.answered), world.refused) == (1000 + 1500, [])


def test_sequential_clients_are_no_overload(world: World) -> None:
    """Clients that send a new request after each answer are never refused."""
    world.then = world.ask
    for begin in (lambda: None, lambda: world.run(0.1)):
        for _ in range(100):
            begin()
            world.ask()
    world.run(100)
    assert world.refused == []


@pytest.mark.parametrize("world", [10.0], indirect=True)
def test_a_configured_limit_applies_in_a_lasting_overload(world: World) -> None:
    """A configured maximum wait also applies in a lasting overload."""
    world.load(5, 20)
    world.run(60)
    assert max(world.answered) == pytest.approx(10 + CALL, abs=2 * CALL)
    assert not any(world.refused)


def test_in_a_moderate_overload_late_requests_are_refused_early(world: World) -> None:
    """In a moderate overload, requests that would be late are refused early."""
    world.load(1.8, 10, 2.0)
    world.run(10)
    late = [age for age in world.refused if age]
    assert 0 < len(late) < 100
    assert sum(late) / len(late) < 1.5
