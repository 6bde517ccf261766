"""Send requests to a loaded model as clients do, in its process and before any port is open."""

import json
import logging
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from prepackaged.errors import DeploymentError
from prepackaged.server.inference.drift import Watch
from prepackaged.server.inference.model_thread import ModelThread
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loading import failures_as, load_model, read_metadata
from prepackaged.server.runtime.sample_ranges import SampleRanges
from prepackaged.server.runtime.samples import MODEL, Sample, samples_of
from prepackaged.server.runtime.server import RunningServer
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.server.transport.exchange import Response

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """A sample and how its answer differs (empty if it does not)."""

    sample: Sample
    difference: str


class SelfTest:
    """The protocols of a loaded model, for requests from this process.

    Create and use it on the model's thread; `loop` is an event loop on another thread. Its metrics
    are separate from the server's, and it has no tracing and no access log.
    """

    def __init__(
        self, model: Any, metadata: dict[str, Any] | None, config: Config, loop: LoopThread
    ) -> None:
        self._config = replace(config, tracing=False, access_log=False)
        self._loop, self._thread = loop, ModelThread()
        parts = model, metadata, self._config, self._thread.submit, Metrics()
        with failures_as(f"{config.interface} cannot be served"):
            self._server: RunningServer = loop.run(RunningServer.of(*parts))

    def ask(self, method: str, path: str, body: Any = None) -> Response:
        """The response over REST; the model is called on this thread."""
        path = path.replace(MODEL, quote(self._config.model_name, safe=""))
        content = b"" if body is None else json.dumps(body).encode()
        answer = self._loop.submit(self._server.answer(method, path, content))
        return self._result(answer)

    def _result(self, answer: "Future[Response]") -> Response:
        thread = weakref.ref(
            self._thread
        )  # the loop lasts longer than the model, which it is not to keep

        def stop(_: Any) -> None:
            if running := thread():
                running.stop()

        for ended in (answer, self._loop.ended):
            ended.add_done_callback(stop)
        self._thread.run()
        if self._loop.ended.done():
            self._loop.ended.result()
        return answer.result()

    def watch(self, watch: Watch) -> None:
        """Call `watch` with requests and outcomes from now on."""
        self._server.service.predictor.watch = watch

    def page(self) -> bytes:
        """The page to try the model, as one HTML file."""
        return self._server.service.pages.as_file()

    def outcomes(self, samples: Sequence[Sample]) -> Iterator[Outcome]:
        """Yield the outcome of each sample."""
        for sample in samples:
            answer = self.ask("POST", sample.path, sample.body)
            yield Outcome(sample, sample.difference(answer.status, answer.body))


@contextmanager
def loaded(config: Config) -> Iterator[SelfTest]:
    """Load the model of these settings and wrap it in a `SelfTest`. Raises `DeploymentError`."""
    model = load_model(config.interface, config.parameters, config.model_dir)
    with LoopThread() as loop:
        yield SelfTest(model, read_metadata(model), config, loop)


def check_samples(
    model: Any, metadata: dict[str, Any] | None, config: Config, loop: LoopThread
) -> None:
    """Try the samples beside the model, and add their value ranges to the model's signature.

    Raises `DeploymentError` for the first unexpected answer; if the sample is not required, logs a
    warning instead.
    """
    samples = samples_of(model) if config.samples else []
    if not samples:
        return
    test, ranges = SelfTest(model, metadata, config, loop), SampleRanges(model)
    test.watch(ranges)
    outcomes = [*test.outcomes(samples)]
    for outcome in outcomes:
        if outcome.difference and outcome.sample.is_required:
            raise DeploymentError(failure(outcome))
    for outcome in outcomes:
        if outcome.difference:
            logger.warning("%s", failure(outcome))
    ranges.add_to_signature()
    good = sum(not outcome.difference for outcome in outcomes)
    logger.info("Samples: %d of %d are answered as expected", good, len(outcomes))


def failure(outcome: Outcome) -> str:
    """The error text: the sample, the place of the difference, the expected and actual values."""
    return f"sample {outcome.sample.name}: {outcome.difference}"
