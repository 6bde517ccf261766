"""A request and its response, between a transport and a handler.

A transport creates an `Exchange` for each request and passes it to a handler. The handler calls
`respond` or `fail`, immediately or later, on the event loop. The exchange ends with the first of
these: the response, the deadline, or the client's disconnection; the observer is notified once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Protocol

from prepackaged.server.telemetry.context import CLIENT_CLOSED_REQUEST, Observer, RequestContext
from prepackaged.server.transport.background import BACKGROUND, UNCOLLECTED
from prepackaged.server.transport.errors import TransportError, deadline_exceeded
from prepackaged.server.transport.memory import UNLIMITED, MemoryBudget, used_up

__all__ = ["Carrier", "Exchange", "Response", "TransportError", "deadline_exceeded"]


@dataclass(slots=True, eq=False)
class Response:
    """A response.

    `status` is an HTTP status. An error over gRPC also has gRPC's `code` and its message,
    `details`; it is counted under the status, and its `headers` are trailers.
    """

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] | None = None
    code: IntEnum | None = None
    details: str = ""


class Carrier(Protocol):
    """The part of a transport that an exchange needs."""

    #: The transport's own names for the status of a response without an error, and of a request
    #: whose client disconnected; empty if the transport only has numbers.
    succeeded: str
    cancelled: str

    def send(self, exchange: "Exchange", response: Response) -> None:
        """Write a response; called once for each exchange that is not cancelled."""


class Exchange(RequestContext):
    """A request, and the only way to answer it.

    `failure` creates the response to an error. `on_cancel` is called when nobody waits for the
    answer any more, because the client disconnected or the deadline passed. The request's `held`
    bytes of `memory` are returned with the response, or when a thread that still works for the
    request has finished.
    """

    __slots__ = (
        "_carrier",
        "_failure",
        "_is_on_thread",
        "_memory",
        "_observe",
        "_timers",
        "body",
        "held",
        "is_open",
        "on_cancel",
        "query",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
        carrier: Carrier,
        failure: Callable[["Exchange", BaseException], Response],
        observe: Observer,
        memory: MemoryBudget = UNLIMITED,
    ) -> None:
        RequestContext.__init__(self, method, path, headers)
        self.body = self.query = b""
        self.is_open = True
        self.on_cancel: Callable[[], object] | None = None
        self._carrier = carrier
        self._failure = failure
        self._observe = observe
        self._memory = memory
        self.held = 0
        self._is_on_thread = False
        self._timers: list[asyncio.TimerHandle] | None = None

    def header(self, name: bytes) -> bytes:
        """The last header of this lower-case name; empty if there is none."""
        return dict(self.headers).get(name, b"")

    def respond(self, response: Response) -> None:
        """Send the response, unless the exchange is over."""
        if self.is_open:
            code = response.code
            name = self._carrier.succeeded if code is None else code.name
            self._close(response.status, len(response.body), name)
            self._carrier.send(self, response)

    def fail(self, error: BaseException) -> None:
        """Send the response to an error, unless the exchange is over.

        After this, nothing reads the error's traceback.
        """
        if self.is_open:
            self.respond(self._failure(self, error))
        forget_frames(error)

    def cancel(self) -> None:
        """Stop, because the client has disconnected: nothing is sent, and the work may stop."""
        if self.is_open:
            on_cancel = self.on_cancel
            self._close(CLIENT_CLOSED_REQUEST, 0, self._carrier.cancelled)
            if on_cancel:
                on_cancel()

    def abandon(self) -> None:
        """The client disconnected before its request was complete: it is not observed."""
        self.is_open = False
        self._let_go()

    def expire_after(self, seconds: float, whose: str) -> None:
        """Fail with status 504 if there is no answer within that many seconds."""
        self.deadline = min(self.deadline, time.perf_counter() + seconds)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, self._expire, seconds, whose)
        self._timers = [*(self._timers or ()), timer]

    def hold(self, size: int) -> None:
        """Take memory for the request, on any thread. Raises `TransportError` if there is none."""
        self._memory.take(size, self.held)
        self.held += size

    def prepare(self, work: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Run work on a thread for large messages, then continue with its result on the event loop.

        An exception in either fails the exchange. If the exchange is over before the work begins,
        the work is not run.
        """
        self._on_thread(work, partial(self._prepared, then))

    async def prepared(self, work: Callable[[], Any]) -> Any:
        """The same for a coroutine: return the work's result, or raise its exception."""
        future = self._on_thread(work, self._came_back)
        return await asyncio.shield(asyncio.wrap_future(future))

    def _on_thread(
        self, work: Callable[[], Any], then: Callable[[Future[Any]], object]
    ) -> Future[Any]:
        loop = asyncio.get_running_loop()
        self._is_on_thread = True
        future = BACKGROUND.submit(self._unless_over, work)
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(then, done))
        return future

    def _unless_over(self, work: Callable[[], Any]) -> Any:
        if not self.is_open:
            return None
        try:
            with UNCOLLECTED:
                return work()
        except MemoryError as error:  # others may have more than they were expected to take
            raise used_up() from error

    def _prepared(self, then: Callable[[Any], object], done: Future[Any]) -> None:
        self._came_back(done)
        if not self.is_open:
            return
        try:
            then(done.result())
        except BaseException as error:  # including the model's SystemExit
            self.fail(error)
        finally:
            del done  # it leads to the error, and that back here: a cycle, with all the work had

    def _came_back(self, done: Future[Any]) -> None:  # noqa: ARG002  as callbacks get it
        self._is_on_thread = False
        if not self.is_open:
            self._let_go()

    def answer_with(self, work: Awaitable[Response]) -> None:
        """Let a task answer: its result is the response, or its exception the error."""
        task = asyncio.ensure_future(self._answered(work))
        self.on_cancel = task.cancel

    async def _answered(self, work: Awaitable[Response]) -> None:
        try:
            response = await work
        except asyncio.CancelledError as error:
            self.fail(error)  # the work's own; an exchange that is cancelled is over already
        except BaseException as error:  # including the model's SystemExit
            self.fail(error)
        else:
            self.respond(response)

    def _expire(self, seconds: float, whose: str) -> None:
        if self.is_open:
            on_cancel = self.on_cancel
            self.fail(deadline_exceeded(seconds, whose))
            if on_cancel:
                on_cancel()

    def _close(self, status: int, size: int, code: str) -> None:
        self.is_open = False
        if self.held:
            self._let_go()
        self.on_cancel = None  # it leads back here: a cycle for the garbage collector
        if self._timers:
            for timer in self._timers:
                timer.cancel()
            self._timers = None  # the same
        self._observe(self, status, size, code)

    def _let_go(self) -> None:
        if self._is_on_thread:
            return  # which may take more, and has the body as long as it works
        held, self.held = self.held, 0
        self._memory.give_back(held)


def forget_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error and of the errors that caused it.

    Their frames refer to the request, which refers to the error: such a cycle would keep bodies of
    many megabytes until the next garbage collection.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        forget_frames(error.__cause__)
        error = error.__context__
