import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from waiting import wait_until

from prepackaged.server.inference.admission import OverloadedError
from prepackaged.server.inference.engine import Engine
from prepackaged.server.inference.model_thread import ModelThread, started
from prepackaged.server.inference.queue import MOST_URGENT
from prepackaged.server.inference.work import AGAIN, Work


def run(
    scenario: Callable[..., Any],
    answer: Any,
    *,
    together: int = 1,
    most: int = 100,
    on_loop: bool = False,
) -> Any:
    """Run a scenario with an engine whose model runs on its own thread."""

    async def main() -> Any:
        with started(ModelThread()) as thread:
            engine = Engine(
                answer,
                thread.submit,
                together=lambda: together,
                max_waiting=most,
                on_loop=on_loop,
            )
            return await asyncio.wait_for(scenario(engine), 30)

    return asyncio.run(main())


async def submit_all(engine: Engine, items: Sequence[Any]) -> list[Any]:
    """Submit items at once and wait for the outcome of each."""
    futures = [asyncio.get_running_loop().create_future() for _ in items]
    for item, future in zip(items, futures, strict=True):
        engine.submit(Work(item, future.set_result))
    return await asyncio.gather(*futures)


def doubled(items: Sequence[int]) -> list[int]:
    """Double each item."""
    return [item * 2 for item in items]


def test_every_item_gets_its_own_answer() -> None:
    """Each item gets its own result, however the items were batched."""

    async def scenario(engine: Engine) -> list[Any]:
        return await submit_all(engine, range(10))

    assert run(scenario, doubled, together=4) == [item * 2 for item in range(10)]


def test_queued_items_share_a_call() -> None:
    """The next call takes all queued items, up to the maximum batch size."""
    groups: list[list[int]] = []

    def answer(items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        return doubled(items)

    async def scenario(engine: Engine) -> None:
        await submit_all(engine, range(7))

    run(scenario, answer, together=3)

    assert groups == [[0, 1, 2], [3, 4, 5], [6]]


def test_an_exception_is_the_outcome_of_the_whole_batch() -> None:
    """An exception is the outcome of each request in the failed call, and the next call is made."""

    def answer(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise ValueError("zero")
        return doubled(items)

    async def scenario(engine: Engine) -> list[Any]:
        return await submit_all(engine, [0, 1, 2, 3])

    first, second, *rest = run(scenario, answer, together=2)

    assert isinstance(first, ValueError)
    assert second is first
    assert rest == [4, 6]


@pytest.mark.parametrize("on_loop", [True, False])
def test_only_quick_models_that_allow_it_are_called_on_the_loop(*, on_loop: bool) -> None:
    """Quick models that allow any thread are called on the event loop, slow ones are not."""
    threads: list[bool] = []

    def answer(items: Sequence[int]) -> list[int]:
        threads.append(threading.current_thread() is threading.main_thread())
        return doubled(items)

    async def scenario(engine: Engine) -> None:
        for _ in range(3):
            engine.latency.note(0.0001, 1, 1, busy=0.0001)
        await submit_all(engine, [1])
        engine.latency.note(0.03, 1, 1)
        await submit_all(engine, [2])

    run(scenario, answer, on_loop=on_loop)

    assert threads == [on_loop, False]


def test_a_large_batch_of_a_quick_model_is_not_called_on_the_loop() -> None:
    """The estimate for the current batch decides, not the average call time."""
    threads: list[bool] = []

    def answer(items: Sequence[int]) -> list[int]:
        threads.append(threading.current_thread() is threading.main_thread())
        return doubled(items)

    async def scenario(engine: Engine) -> None:
        for _ in range(3):
            engine.latency.note(0.0001, 1, 1, busy=0.0001)
        for rows in (1, 100_000, 1):
            future = asyncio.get_running_loop().create_future()
            engine.submit(Work(1, future.set_result, rows=rows))
            await future

    run(scenario, answer, on_loop=True)

    assert threads == [True, False, True]


def test_unbatched_calls_share_one_thread_switch_and_keep_their_order() -> None:
    """Queued calls of an unbatched model run in order, with a single switch to the model thread."""
    calls: list[list[int]] = []
    trips: list[Any] = []

    def answer(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return doubled(items)

    async def scenario(engine: Engine) -> list[Any]:
        submit = engine._submit
        engine._submit = lambda *values: (trips.append(values), submit(*values))
        await submit_all(engine, [0])
        return await submit_all(engine, range(1, 11))

    assert run(scenario, answer) == [item * 2 for item in range(1, 11)]
    assert calls == [[item] for item in range(11)]
    assert len(trips) == 2


@pytest.fixture
def long_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every call count as a long one."""
    monkeypatch.setattr("prepackaged.server.inference.engine.TRIP_SECONDS", 0)


def test_the_model_thread_makes_long_calls_without_the_loop(long_calls: None) -> None:
    """After a long call, the model thread takes the next batch itself, even if the loop is busy."""
    calls: list[list[int]] = []
    is_open = threading.Event()

    def answer(items: Sequence[int]) -> list[int]:
        is_open.wait(30)
        calls.append(list(items))
        return doubled(items)

    async def scenario(engine: Engine) -> list[Any]:
        outcomes = asyncio.ensure_future(submit_all(engine, range(5)))
        await asyncio.sleep(0.01)
        is_open.set()
        wait_until(lambda: len(calls) == 3)  # this blocks the event loop
        return await outcomes

    assert run(scenario, answer, together=2) == [0, 2, 4, 6, 8]
    assert calls == [[0, 1], [2, 3], [4]]


def test_requests_given_up_during_long_calls_get_the_error_once(long_calls: None) -> None:
    """After give_up, running and queued requests each get the error exactly once."""
    given: list[Any] = []
    is_open = threading.Event()
    entered = threading.Semaphore(0)

    def answer(items: Sequence[int]) -> list[int]:
        entered.release()
        if items[0] == 1:
            is_open.wait(30)
        return doubled(items)

    async def scenario(engine: Engine) -> int:
        for item in range(4):
            engine.submit(Work(item, given.append))
        for _ in range(2):
            await asyncio.to_thread(entered.acquire)
        while not given:
            await asyncio.sleep(0)
        count = engine.give_up(ValueError("given up"))
        is_open.set()
        await engine.drained()
        return count

    assert run(scenario, answer) == 3
    assert [str(each) for each in given] == ["0", *["given up"] * 3]


def test_a_request_that_is_cancelled_during_a_thread_switch_is_not_computed() -> None:
    """The model thread skips cancelled requests before each call."""
    computed: list[int] = []
    works: list[Work] = []

    def answer(items: Sequence[int]) -> list[int]:
        computed.extend(items)
        if items[0] == 1:
            works[1].cancel()
        return doubled(items)

    async def scenario(engine: Engine) -> None:
        await submit_all(engine, [0])
        works.extend(Work(item, print) for item in (1, 2, 3))
        for work in works:
            engine.submit(work)
        await engine.drained()

    run(scenario, answer)

    assert computed == [0, 1, 3]


def test_urgent_functions_wait_only_for_the_running_call() -> None:
    """Health probes overtake queued predictions, up to MOST_URGENT of them."""
    order: list[Any] = []
    is_open = threading.Event()

    def answer(items: Sequence[int]) -> list[int]:
        is_open.wait(30)
        order.extend(items)
        return doubled(items)

    async def scenario(engine: Engine) -> int:
        predictions = asyncio.ensure_future(submit_all(engine, [1, 2]))
        await asyncio.sleep(0.01)
        probes = [
            asyncio.ensure_future(engine.run(lambda: order.append("probe"), is_urgent=True))
            for _ in range(MOST_URGENT + 5)
        ]
        await asyncio.sleep(0.01)
        is_open.set()
        outcomes = await asyncio.gather(*probes, return_exceptions=True)
        await predictions
        return sum(isinstance(each, OverloadedError) for each in outcomes)

    assert run(scenario, answer) == 5
    assert order == [1, *["probe"] * MOST_URGENT, 2]


@pytest.mark.parametrize(("together", "seconds"), [(1, 30), (4, 9)])
def test_a_full_queue_refuses_and_says_when_to_retry(
    monkeypatch: pytest.MonkeyPatch, together: int, seconds: int
) -> None:
    """A full queue refuses requests with 503, and Retry-After is the time to empty the queue."""
    now = [0.0]
    monkeypatch.setattr("prepackaged.server.inference.engine.time.perf_counter", lambda: now[0])

    def answer(items: Sequence[int]) -> list[int]:
        now[0] += 3  # whatever the number of items
        return doubled(items)

    async def scenario(engine: Engine) -> OverloadedError:
        await submit_all(engine, range(8))
        for item in range(10):
            engine.submit(Work(item, print))
        with pytest.raises(OverloadedError) as caught:
            engine.submit(Work(10, print))
        await engine.drained()
        return caught.value

    error = run(scenario, answer, together=together, most=10)

    assert error.status_code == 503
    assert error.retry_after == seconds


def test_cancelled_requests_are_not_computed() -> None:
    """Cancelled requests leave the queue and are not computed."""
    computed: list[int] = []

    def answer(items: Sequence[int]) -> list[int]:
        computed.extend(items)
        return doubled(items)

    async def scenario(engine: Engine) -> None:
        works = [Work(item, print) for item in range(3)]
        for work in works:
            engine.submit(work)
        works[1].cancel()
        await engine.drained()

    run(scenario, answer)

    assert computed == [0, 2]


def test_functions_run_alone_in_their_turn() -> None:
    """Functions run alone on the model thread, in the same queue as predictions."""
    order: list[Any] = []

    def answer(items: Sequence[int]) -> list[int]:
        order.append(list(items))
        return doubled(items)

    def function() -> str:
        order.append("function")
        assert threading.current_thread() is not threading.main_thread()
        return "done"

    async def scenario(engine: Engine) -> Any:
        before = asyncio.ensure_future(submit_all(engine, [1, 2]))
        await asyncio.sleep(0)
        called = asyncio.ensure_future(engine.run(function))
        await asyncio.sleep(0)
        after = asyncio.ensure_future(submit_all(engine, [3, 4]))
        await asyncio.gather(before, after)
        return await called

    assert run(scenario, answer, together=10) == "done"
    assert order.count("function") == 1
    assert [each for each in order if each != "function"] == [[1, 2], [3, 4]]


def test_the_exception_of_a_function_is_raised_to_its_caller() -> None:
    """The exception of a function is raised to its caller."""

    def function() -> None:
        raise KeyError("missing")

    async def scenario(engine: Engine) -> None:
        await engine.run(function)

    with pytest.raises(KeyError, match="missing"):
        run(scenario, doubled)


def test_the_time_to_retry_includes_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After includes the time of queued functions."""
    now = [0.0]
    monkeypatch.setattr("prepackaged.server.inference.engine.time.perf_counter", lambda: now[0])

    def function() -> None:
        now[0] += 3

    async def scenario(engine: Engine) -> OverloadedError:
        await engine.run(function)
        calls = [asyncio.ensure_future(engine.run(function)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as caught:
            await engine.run(function)
        await asyncio.gather(*calls)
        return caught.value

    assert run(scenario, doubled, most=10).retry_after == 30


def test_waiting_requests_can_be_given_up() -> None:
    """give_up sends the error once to running and queued requests, except cancelled ones."""
    entered, is_open = threading.Event(), threading.Event()
    given: list[Any] = []

    def answer(items: Sequence[int]) -> list[int]:
        entered.set()
        is_open.wait(30)
        return doubled(items)

    async def scenario(engine: Engine) -> int:
        works = [Work(item, given.append) for item in range(4)]
        for work in works:
            engine.submit(work)
        await asyncio.to_thread(entered.wait, 30)
        works[3].cancel()
        count = engine.give_up(ValueError("given up"))
        assert engine.in_flight == 2  # still in the model's call
        is_open.set()
        await engine.drained()
        return count

    assert run(scenario, answer, together=2) == 3
    assert [str(each) for each in given] == ["given up"] * 3


def test_a_failing_callback_does_not_stop_the_engine() -> None:
    """If the callback of an outcome fails, the others are still called, and the engine goes on."""
    given: list[Any] = []

    def fail(outcome: Any) -> None:
        raise ValueError(outcome)

    async def scenario(engine: Engine) -> None:
        for done in (fail, given.append):
            engine.submit(Work(1, done))
        await engine.drained()
        engine.submit(Work(2, given.append))
        await engine.drained()

    run(scenario, doubled, together=2)

    assert given == [2, 4]


def test_a_batch_is_limited_in_rows_and_bytes() -> None:
    """A batch is limited in rows and bytes, but a single request may exceed the limits."""
    groups: list[list[int]] = []

    def answer(items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        return doubled(items)

    async def scenario() -> None:
        with started(ModelThread()) as thread:
            engine = Engine(
                answer,
                thread.submit,
                together=lambda: 10,
                max_waiting=100,
                max_rows=100,
                max_bytes=1000,
            )
            sizes = [(60, 1), (40, 1), (1, 1), (500, 1), (1, 600), (1, 400), (1, 1)]
            for number, (rows, size) in enumerate(sizes):
                engine.submit(Work(number, print, rows=rows, size=size))
            await engine.drained()

    asyncio.run(scenario())
    assert groups == [[0, 1], [2], [3], [4, 5], [6]]


def test_repeated_requests_keep_their_place() -> None:
    """Requests that must be repeated go ahead of later ones, in their order."""
    groups: list[list[int]] = []

    def answer(items: Sequence[int]) -> list[Any]:
        groups.append(list(items))
        return [AGAIN if len(items) > 2 and place > 1 else item for place, item in enumerate(items)]

    async def scenario(engine: Engine) -> list[Any]:
        return await submit_all(engine, range(7))

    assert run(scenario, answer, together=4) == list(range(7))
    assert groups == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6], [6]]


def test_the_batch_size_is_learned_from_repeated_requests() -> None:
    """The wait is that of as many calls as it takes, not of as few as might do."""

    def answer(items: Sequence[int]) -> list[Any]:
        return [items[0], *[AGAIN] * (len(items) - 1)]

    async def scenario(engine: Engine) -> int:
        await submit_all(engine, range(5))
        return engine.latency.sharing

    assert run(scenario, answer, together=4) == 1
    assert run(submit_some, doubled, together=4) == sys.maxsize


async def submit_some(engine: Engine) -> int:
    """Submit items that share calls, and return how many may."""
    await submit_all(engine, range(4))
    return engine.latency.sharing


def test_a_call_without_results_is_repeated_for_fewer_requests() -> None:
    """A model that turns out to be one that cannot be batched has answered no request yet."""
    most = [4]

    def answer(items: Sequence[int]) -> list[Any]:
        is_shared, most[0] = len(items) > 1, 1
        return [AGAIN] * len(items) if is_shared else doubled(items)

    async def main() -> list[Any]:
        with started(ModelThread()) as thread:
            engine = Engine(answer, thread.submit, together=lambda: most[0], max_waiting=9)
            return await asyncio.wait_for(submit_all(engine, range(4)), 30)

    assert asyncio.run(main()) == [0, 2, 4, 6]


def test_smaller_calls_during_a_search_do_not_change_the_batch_size() -> None:
    """While a fault is sought, calls are smaller, and nobody is refused for it."""
    groups: list[list[int]] = []
    at_once = [2, 1, 4, 4]

    def answer(items: Sequence[int]) -> list[Any]:
        groups.append(list(items))
        at_once.pop(0)
        return doubled(items)

    async def main() -> tuple[list[Any], int]:
        with started(ModelThread()) as thread:
            engine = Engine(
                answer,
                thread.submit,
                together=lambda: 4,
                at_once=lambda: at_once[0],
                max_waiting=9,
            )
            answers = await asyncio.wait_for(submit_all(engine, range(7)), 30)
            return answers, engine.latency.sharing

    assert asyncio.run(main()) == (doubled(range(7)), sys.maxsize)
    assert groups == [[0, 1], [2], [3, 4, 5, 6]]


def test_urgent_functions_overtake_repeated_requests() -> None:
    """Health probes overtake predictions that wait for another call."""
    order: list[Any] = []
    is_open = threading.Event()

    def answer(items: Sequence[int]) -> list[Any]:
        is_open.wait(30)
        order.append(items[0])
        return [items[0], *[AGAIN] * (len(items) - 1)]

    async def scenario(engine: Engine) -> None:
        predictions = asyncio.ensure_future(submit_all(engine, range(3)))
        await asyncio.sleep(0.01)
        probe = asyncio.ensure_future(engine.run(lambda: order.append("probe"), is_urgent=True))
        await asyncio.sleep(0.01)
        is_open.set()
        await asyncio.gather(probe, predictions)

    run(scenario, answer, together=4)

    assert order == [0, "probe", 1, 2]


def test_an_idle_model_is_called_however_fast_requests_arrive() -> None:
    """Gathering ends, even if each iteration of the event loop adds a request."""

    async def scenario(engine: Engine) -> int:
        answered = asyncio.get_running_loop().create_future()

        def arrive(number: int) -> None:
            if not answered.done():
                engine.submit(Work(number, lambda _: answered.done() or answered.set_result(None)))
                asyncio.get_running_loop().call_soon(arrive, number + 1)

        arrive(0)
        await answered
        await engine.drained()
        return engine.waiting

    assert run(scenario, doubled, together=10**6, most=10**9) == 0


def test_a_chain_of_calls_does_not_count_as_a_hanging_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call to predict has the time that a call may take, also in the same batch."""
    now = [0.0]
    monkeypatch.setattr("prepackaged.server.inference.engine.time.perf_counter", lambda: now[0])
    since: list[float] = []

    def answer(engine: Engine, items: Sequence[int]) -> list[int]:
        for _ in items:
            engine.note_begin()
            since.append(engine.call_seconds)
            now[0] += 3
        return doubled(items)

    async def main() -> None:
        with started(ModelThread()) as thread:
            engine = Engine(
                lambda items: answer(engine, items),
                thread.submit,
                together=lambda: 4,
                max_waiting=9,
            )
            await asyncio.wait_for(submit_all(engine, range(4)), 30)

    asyncio.run(main())

    assert since == [0.0] * 4
