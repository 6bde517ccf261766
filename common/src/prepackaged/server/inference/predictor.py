"""From a message to the model and back to an answer, whatever the transport.

Predictions are decoded by the transport, batched by the engine and answered as values. Every
other method, and models that read raw messages, take and give JSON or protobuf messages.
"""

import asyncio
import copy
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from seldon_core import seldon_methods
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.metrics import PREDICT_METRIC_METHOD_TAG

from prepackaged.errors import ModelError, RequestError
from prepackaged.server.inference.batching import Batcher
from prepackaged.server.inference.engine import Engine, Work, outcome_of
from prepackaged.server.protocols.seldon.hooks import Around, Hooks, find_hook
from prepackaged.server.protocols.seldon.json_codec import Prediction, Request
from prepackaged.server.protocols.seldon.methods import Methods
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

ENDING = "the server ends, and the model has not answered in the time that was left"
MOST_PROBES = 100  # that wait for the model's health

Done = Callable[[Prediction | BaseException], None]


class DeadlineError(RequestError):
    """The answer took longer than is set for one: HTTP 504."""

    status_code = 504
    reason = "MICROSERVICE_TIMEOUT"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s, the time that is set for one")


class EndingError(RequestError):
    """The server ends and the model has not answered yet: HTTP 503, another server may."""

    status_code = 503
    reason = "MICROSERVICE_ENDING"
    retry_after = 1


class Dispatcher:
    """One loaded model behind its engine. Made on the event loop that it works on.

    An answer may take `timeout` seconds from when its request is whole; None: as long as it takes.
    """

    def __init__(
        self,
        model: Any,
        metrics: Metrics,
        *,
        max_waiting: int,
        timeout: float | None = None,
        around: Sequence[Around] = (),
        may_batch: bool = True,
    ) -> None:
        self.model = model
        self.metrics = metrics
        self._timeout = timeout
        self._hooks = Hooks(model, around)
        self._methods = Methods(model, self._hooks, metrics)
        is_offered = may_batch and bool(getattr(model, "batchable", False))
        self.batcher = Batcher(
            self._hooks.predict, is_offered=is_offered, observe=metrics.observe_batch
        )
        self.engine = Engine(self._answer, together=self.batcher.together, max_waiting=max_waiting)
        self._prober = Engine(list, together=lambda: 1, max_waiting=MOST_PROBES)
        metrics.set_gauge("prepackaged_queue_depth_requests", lambda: self.engine.waiting)
        metrics.set_gauge("prepackaged_in_flight_requests", lambda: self.engine.in_flight)
        metrics.set_gauge("prepackaged_batching_enabled", lambda: float(self.batcher.is_on))
        has_raw = find_hook(model, "predict_raw") is not None
        self.is_raw_over_rest = has_raw or find_hook(model, "predict_rest") is not None
        self.is_raw_over_grpc = has_raw or find_hook(model, "predict_grpc") is not None
        # None where the model's own metadata is not what the schema allows, as upstream has it.
        self.metadata: dict[str, Any] | None = seldon_methods.init_metadata(model)

    def with_timeout(self, timeout: float | None) -> "Dispatcher":
        """The same model behind the same engine, with another time for an answer."""
        other = copy.copy(self)
        other._timeout = timeout
        return other

    def predict(self, request: Request, done: Done) -> Work:
        """Queue a prediction; `done` gets its answer or error, on the loop.

        The work returned may be told that nobody wants it any more. Raises `OverloadedError`.
        """
        work = Work(request, done)
        self.engine.submit(work)
        if self._timeout is not None:
            self._end_in_time(work, self._timeout)
        return work

    def _end_in_time(self, work: Work, seconds: float) -> None:
        """Let work be answered with a `DeadlineError` when its answer takes too long."""
        done = work.done

        def answer_late() -> None:
            if work.is_wanted:
                work.cancel()
                done(DeadlineError(seconds))

        def answer(outcome: Any) -> None:
            timer.cancel()
            done(outcome)

        timer = asyncio.get_running_loop().call_later(seconds, answer_late)
        work.done = answer

    async def predicted(self, request: Request) -> Prediction:
        """The answer to a prediction. Raises what the client is to be told."""
        answer: Prediction = await outcome_of(functools.partial(self.predict, request))
        return answer

    async def call(self, method: str, message: Any, context: RequestContext | None = None) -> Any:
        """What `Methods.call` answers. Raises what the client is to be told."""
        call = functools.partial(self._methods.call, method, message, context)
        return await self._in_time(self.engine.run(call))

    async def health(self, context: RequestContext | None = None) -> Any:
        """The model's health as a message, asked beside the engine: it waits for no prediction.

        Raises what the client is to be told.
        """
        call = functools.partial(self._methods.health, context)
        return await self._in_time(self._prober.run(call))

    async def drained(self) -> None:
        """Wait until the model is asked for nothing any more."""
        await self.engine.drained()
        await self._prober.drained()

    def give_up(self) -> int | None:
        """Prediction all who wait for the model with an `EndingError`.

        How many they are; None where the model is asked for nothing.
        """
        busy = [each for each in (self.engine, self._prober) if each.in_flight]
        return sum(each.give_up(EndingError(ENDING)) for each in busy) if busy else None

    def close(self) -> None:
        """Let the threads go, without waiting for a call that hangs."""
        self.engine.close()
        self._prober.close()

    async def _in_time(self, calling: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await _told(calling)
        except TimeoutError as error:
            raise DeadlineError(self._timeout or 0) from error

    def _answer(self, requests: Sequence[Request]) -> list[Prediction | BaseException]:
        return list(map(self._finished, requests, self.batcher(requests)))

    def _finished(self, request: Request, outcome: Any) -> Prediction | BaseException:
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            given = (outcome, self.metrics, PREDICT_METRIC_METHOD_TAG)
            if not self._hooks.are_beside_predict:
                return self._hooks.answer(*given)
            answer: Prediction = self._hooks.within(request.context, self._hooks.answer, *given)
            return answer
        except BaseException as error:
            told: BaseException = error_for_client(error)
            return told


async def _told(calling: Awaitable[Any]) -> Any:
    """What a call of the model gives; whatever it raises, SystemExit too, as the client is told."""
    try:
        return await calling
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise  # it is the call that is cancelled, not the model's own
        raise error_for_client(error) from error


def error_for_client(error: BaseException) -> SeldonMicroserviceException:
    """The error that the client is told: its own and Seldon's as they are, any other as a 500."""
    if isinstance(error, SeldonMicroserviceException):
        return error
    logger.error("The model failed", exc_info=error)
    try:
        text = str(error)
    except Exception:  # an exception that cannot even say what it is
        text = ""
    failed = ModelError(text or type(error).__name__)
    failed.__cause__ = error
    return failed
