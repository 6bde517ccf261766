"""A loaded model as the protocols see it: predictions, other calls, health, and the end.

Protocols decode requests and encode answers; here they wait, share calls to the model, and
are counted.
"""

import functools
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.metrics import PREDICT_METRIC_METHOD_TAG

from prepackaged.errors import RequestError
from prepackaged.server.inference.author_errors import as_model_error
from prepackaged.server.inference.batching import Batcher
from prepackaged.server.inference.drift import drift_of, nothing
from prepackaged.server.inference.engine import Engine, Submit
from prepackaged.server.inference.hooks import Around, Hooks, prepare_hook
from prepackaged.server.inference.requests import InferenceRequest, Prediction, cell_count
from prepackaged.server.inference.work import AGAIN, Work
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

SHUTDOWN = "the server is shutting down, and the model has not answered in time"

CELLS_ON_LOOP = 4096  # values of a request that the event loop prepares; others wait their turn

Done = Callable[[Prediction | BaseException], None]


class ShutdownError(RequestError):
    """The server shuts down and the model has not answered yet: HTTP 503, try another server."""

    status_code = 503
    reason = "MICROSERVICE_ENDING"
    retry_after = 1


class HangingError(RequestError):
    """A call to the model hangs: HTTP 500, so that Kubernetes restarts the server."""

    def __init__(self) -> None:
        super().__init__("a call to the model hangs")


class Predictor:
    """One loaded model behind its engine, created on the event loop on which it works.

    `submit` runs functions on the model's thread. A call that takes longer than `longest_call`
    seconds counts as hung. `around` are context managers around the hooks that answer a request.
    """

    def __init__(
        self,
        model: Any,
        metrics: Metrics,
        submit: Submit,
        *,
        max_waiting: int,
        max_wait: float | None = None,
        max_rows: float = math.inf,
        max_bytes: float = math.inf,
        longest_call: float = math.inf,
        around: Sequence[Around] = (),
        may_batch: bool = True,
        counts_drift: bool = True,
        another_hangs: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model = model
        self._longest_call = longest_call
        self._another_hangs = another_hangs
        self.metrics = metrics
        self.hooks = Hooks(model, around)
        self._may_batch = may_batch
        self.batcher = Batcher(self.hooks.predict, is_offered=self._offers, observe=self._begin)
        self._prepare = prepare_hook(model)
        #: Called with the requests and outcomes of each batch.
        self.watch = drift_of(model, metrics, self._prepare) if counts_drift else nothing
        is_free = bool(getattr(model, "callable_from_any_thread", False))
        self.engine = Engine(
            self._answer,
            submit,
            together=self.batcher.together,
            at_once=self.batcher.at_once,
            max_waiting=max_waiting,
            max_wait=max_wait,
            max_rows=max_rows,
            max_bytes=max_bytes,
            on_loop=is_free,
        )
        self._prober = self._engine_of_probes() if is_free else self.engine

    def predict(self, request: InferenceRequest, done: Done) -> Work:
        """Queue a prediction; `done` gets the answer, or the client's error, on the event loop.

        Cancel the returned work if nobody wants the answer any more. Raises `OverloadedError`, and
        the exceptions of the model's `prepare` for a wrong request.
        """
        if self._prepare:
            value = request.value
            cells = value.size if isinstance(value, np.ndarray) else cell_count(value)
            if cells <= CELLS_ON_LOOP:
                request.prepare(self._prepare)
        size = getattr(request.value, "nbytes", 0)
        work = Work(request, done, rows=request.rows, size=size, context=request.context)
        self.engine.submit(work)
        return work

    async def call(
        self, function: Callable[..., Any], *values: Any, context: RequestContext | None = None
    ) -> Any:
        """Run a function that calls the model's hooks, in turn with the predictions.

        Raises the error for the client.
        """
        call = functools.partial(self.hooks.within, context, function, *values)
        return await _for_client(self.engine, call)

    async def health(
        self, function: Callable[..., Any], *values: Any, context: RequestContext | None = None
    ) -> Any:
        """The model's health, which waits for no prediction except the running one.

        If the model may be called on any thread, it does not wait for that one either.
        """
        call = functools.partial(self.hooks.within, context, function, *values)
        return await _for_client(self._prober, call, is_urgent=True)

    @property
    def hangs(self) -> bool:
        """Whether a call takes longer than any may, of this model or of one that it replaced."""
        return self.is_stuck or self._another_hangs()

    @property
    def is_stuck(self) -> bool:
        """Whether this model's present call has taken longer than any may."""
        return self.engine.call_seconds > self._longest_call

    async def drained(self) -> None:
        """Wait until no call to the model is queued or running."""
        await self.engine.drained()
        await self._prober.drained()

    def give_up(self) -> int | None:
        """Answer all waiting requests with a `ShutdownError`.

        Return their number; None if no call to the model is queued or running.
        """
        busy = [each for each in {self.engine, self._prober} if each.in_flight]
        return sum(each.give_up(ShutdownError(SHUTDOWN)) for each in busy) if busy else None

    @property
    def _offers(self) -> bool:
        return self._may_batch and bool(getattr(self.model, "batchable", False))

    def _begin(self, requests: int) -> None:
        """Note that the model is called for so many requests."""
        self.engine.note_begin()
        self.metrics.observe_batch(requests)

    def _engine_of_probes(self) -> Engine:
        thread = ThreadPoolExecutor(1, thread_name_prefix="health")  # which starts when needed
        return Engine(list, thread.submit, together=lambda: 1, max_waiting=0)

    def _answer(self, requests: Sequence[InferenceRequest]) -> list[Any]:
        outcomes = self.batcher(requests)
        if not self.batcher.is_on and self._offers:  # a model may find out with a request
            self.batcher.offer()
        self.watch(requests, outcomes)
        return list(map(self._finished, requests, outcomes))

    def _finished(self, request: InferenceRequest, outcome: Any) -> Any:
        if outcome is AGAIN:
            return outcome
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            result = (outcome, self.metrics, PREDICT_METRIC_METHOD_TAG)
            answer = self.hooks.answer
            if request.parameters:
                answer = functools.partial(answer, is_usual=False)
            if not self.hooks.are_beside_predict:
                return answer(*result)
            prediction: Prediction = self.hooks.within(request.context, answer, *result)
            return prediction
        except BaseException as error:
            failed: BaseException = error_for_client(error)
            return failed


async def _for_client(engine: Engine, call: Callable[[], Any], **how: Any) -> Any:
    """The result of a call to the model. Raises the error for the client, even for SystemExit."""

    def outcome() -> Any:
        try:
            return call()
        except BaseException as error:
            raise error_for_client(error) from error

    return await engine.run(outcome, **how)


def error_for_client(error: BaseException) -> SeldonMicroserviceException:
    """The error to answer with: Seldon's and those made for clients as they are, or the model's."""
    if isinstance(error, SeldonMicroserviceException):
        return error
    logger.error("The model failed", exc_info=error)
    failed = as_model_error(error)
    failed.__cause__ = error
    return failed
