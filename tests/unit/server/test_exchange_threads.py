"""Work for a request on the thread for large messages, and the memory it takes."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from prepackaged.server.transport.background import BACKGROUND
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.memory import MemoryBudget

MB = 2**20
Begin = Callable[[Exchange, Callable[[], Any]], Any]


class Carrier:
    """Sends nothing."""

    succeeded = cancelled = ""

    def send(self, exchange: Exchange, response: Response) -> None:
        raise AssertionError("nobody waits for an answer")


def exchange_with(memory: MemoryBudget) -> Exchange:
    """A request whose body takes a megabyte."""
    exchange = Exchange(
        "POST", "/", [], Carrier(), lambda *_: Response(b"", 500), lambda *_: None, memory
    )
    exchange.hold(MB)
    return exchange


def by_callback(exchange: Exchange, work: Callable[[], Any]) -> None:
    """Let the exchange continue with a function."""
    exchange.prepare(work, lambda _: None)


def by_coroutine(exchange: Exchange, work: Callable[[], Any]) -> None:
    """Let a coroutine wait for the work."""

    async def respond() -> Response:
        await exchange.prepared(work)
        return Response(b"")

    exchange.answer_with(respond())


def within(scenario: Callable[[MemoryBudget], Awaitable[None]]) -> None:
    """Run a scenario that has a limit of time."""
    asyncio.run(asyncio.wait_for(scenario(MemoryBudget(100 * MB)), 30))


async def until(is_so: Callable[[], bool]) -> None:
    """Wait on the event loop."""
    while not is_so():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("begin", [by_callback, by_coroutine])
def test_memory_is_counted_until_the_thread_has_finished(begin: Begin) -> None:
    """The client leaves during the work, which takes more memory after that."""
    has_begun, has_left = threading.Event(), threading.Event()

    async def scenario(memory: MemoryBudget) -> None:
        exchange = exchange_with(memory)

        def work() -> None:
            has_begun.set()
            has_left.wait(30)
            exchange.hold(MB)

        begin(exchange, work)
        await until(has_begun.is_set)
        exchange.cancel()
        assert memory.used == MB
        has_left.set()
        await until(lambda: memory.used == 0)

    within(scenario)


@pytest.mark.parametrize("begin", [by_callback, by_coroutine])
def test_no_work_is_done_for_disconnected_clients(begin: Begin) -> None:
    """Their bodies count until their turn comes, when they are dropped."""
    gate, done = threading.Event(), []

    async def scenario(memory: MemoryBudget) -> None:
        busy = [BACKGROUND.submit(gate.wait, 30) for _ in range(2)]
        for number in range(20):
            exchange = exchange_with(memory)
            begin(exchange, lambda number=number: done.append(number))
            await asyncio.sleep(0)
            exchange.cancel()
        assert memory.used == 20 * MB
        gate.set()
        await until(lambda: memory.used == 0)
        assert all(each.result() for each in busy)

    within(scenario)
    assert done == []


def test_an_error_in_the_work_is_raised_to_the_coroutine() -> None:
    """It reaches the client as if it had been raised at once."""

    def work() -> None:
        raise ValueError("no")

    async def scenario(memory: MemoryBudget) -> None:
        exchange = exchange_with(memory)
        with pytest.raises(ValueError, match="no"):
            await exchange.prepared(work)
        with suppress(AssertionError):
            exchange.respond(Response(b""))
        assert memory.used == 0

    within(scenario)


@pytest.mark.parametrize("begin", [by_callback, by_coroutine])
def test_a_large_request_without_memory_may_be_retried(begin: Begin) -> None:
    """MemoryError while a body is read, or an answer written, is 503 with Retry-After."""

    async def scenario(memory: MemoryBudget) -> None:
        exchange, failed = exchange_with(memory), []
        exchange._carrier = SimpleNamespace(succeeded="", send=lambda *_: None)  # type: ignore[assignment]
        exchange._failure = lambda _, error: failed.append(error) or Response(b"", 503)

        def read() -> Any:
            raise MemoryError

        begin(exchange, read)
        await until(lambda: bool(failed))
        (error,) = failed
        assert (error.status, error.headers) == (503, {"Retry-After": "1"})
        assert memory.used == 0

    within(scenario)
