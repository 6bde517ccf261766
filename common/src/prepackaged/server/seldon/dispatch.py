"""From a message to the model and back to an answer, whatever the transport.

Predictions are decoded by the transport, batched by the engine and answered as values. Every
other method, and models that read raw messages, take and give JSON or protobuf messages.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from seldon_core import seldon_methods
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.metrics import PREDICT_METRIC_METHOD_TAG

from prepackaged.errors import ModelError, RequestError
from prepackaged.server.batching import Batcher
from prepackaged.server.engine import Engine, Work, outcome_of
from prepackaged.server.metrics import Metrics
from prepackaged.server.seldon.hooks import Hooks, find_hook
from prepackaged.server.seldon.messages import Answer, Request
from prepackaged.server.seldon.methods import Methods

logger = logging.getLogger(__name__)

Done = Callable[[Answer | BaseException], None]


class DeadlineError(RequestError):
    """The answer took longer than is set for one: HTTP 504."""

    status_code = 504
    reason = "MICROSERVICE_TIMEOUT"


class Dispatcher:
    """One loaded model behind its engine. Made on the event loop that it works on."""

    def __init__(
        self, model: Any, metrics: Metrics, *, max_waiting: int, timeout: float | None = None
    ) -> None:
        self.model = model
        self.metrics = metrics
        self._timeout = timeout
        self._hooks = Hooks(model)
        self._methods = Methods(model, self._hooks, metrics)
        is_offered = bool(getattr(model, "batchable", False))
        self.batcher = Batcher(
            self._hooks.predict, is_offered=is_offered, observe=metrics.observe_batch
        )
        self.engine = Engine(self._answer, together=self.batcher.together, max_waiting=max_waiting)
        metrics.set_gauge("prepackaged_queue_depth_requests", lambda: self.engine.waiting)
        metrics.set_gauge("prepackaged_in_flight_requests", lambda: self.engine.in_flight)
        metrics.set_gauge("prepackaged_batching_enabled", lambda: float(self.batcher.is_on))
        raw = ("predict_raw", "predict_rest", "predict_grpc")
        self.has_raw_predict = any(find_hook(model, name) for name in raw)
        # None where the model's own metadata is not what the schema allows, as upstream has it.
        self.metadata: dict[str, Any] | None = seldon_methods.init_metadata(model)

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
            work.cancel()
            work.done = ignore
            done(DeadlineError(f"no answer within {seconds} s, the time that is set for one"))

        def answer(outcome: Any) -> None:
            timer.cancel()
            done(outcome)

        timer = asyncio.get_running_loop().call_later(seconds, answer_late)
        work.done = answer

    async def predicted(self, request: Request) -> Answer:
        """The answer to a prediction. Raises what the client is to be told."""
        answer: Answer = await outcome_of(functools.partial(self.predict, request))
        return answer

    async def call(self, method: str, *message: Any) -> Any:
        """What `Methods.call` answers. Raises what the client is to be told."""
        work = functools.partial(self._methods.call, method, *message)
        return await _told(self.engine.run(work))

    async def health(self) -> Any:
        """The model's health as a message, asked beside the engine: it waits for no prediction.

        Raises what the client is to be told.
        """
        return await _told(asyncio.to_thread(self._methods.call, "health_status"))

    def _answer(self, requests: Sequence[Request]) -> list[Answer | BaseException]:
        return [self._finished(outcome) for outcome in self.batcher(requests)]

    def _finished(self, outcome: Any) -> Answer | BaseException:
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            return self._hooks.answer(outcome, self.metrics, PREDICT_METRIC_METHOD_TAG)
        except BaseException as error:
            told: BaseException = to_tell(error)
            return told


async def _told(calling: Awaitable[Any]) -> Any:
    """What a call of the model gives; whatever it raises, SystemExit too, as the client is told."""
    try:
        return await calling
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        raise to_tell(error) from error


def ignore(outcome: Any) -> None:
    """What becomes of an answer that came too late."""


def to_tell(error: BaseException) -> SeldonMicroserviceException:
    """The error that the client is told: its own and Seldon's as they are, any other as a 500."""
    if isinstance(error, SeldonMicroserviceException):
        return error
    logger.error("The model failed", exc_info=error)
    try:
        text = str(error)
    except Exception:  # an exception that cannot even say what it is
        text = ""
    return ModelError(text or type(error).__name__)
