"""Measure throughput with and without drift metrics: `make bench-drift`.

    .envs/sklearn/bin/python bench/drift.py

Two predictors of the same model, one of which counts drift, take turns on one event loop. There is
no network, so the relative cost of counting is higher than in a server. Each simulated client sends
its next request after it gets an answer. The last column is the share of rows that were counted,
because counting skips batches when it would take too much time.
"""

import asyncio
import functools
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import truediv
from pathlib import Path
from typing import Any

from prepackaged.server.inference.drift import Budget, Drift
from prepackaged.server.inference.hooks import prepare_hook
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.telemetry.metrics import ROWS, Metrics

ROOT = Path(__file__).parents[1]
CLIENTS = (1, 32)
TURNS = 240  # the number of turns of each predictor
TURN_SECONDS = 0.05  # short, so that changes of the machine's speed affect both predictors alike
HEADING = ("model", "clients", "without, req/s of processor time", "with / without", "rows counted")


class Stopwatch:
    """A clock that stops between turns."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sum = self._start = 0.0

    def __call__(self) -> float:
        """The seconds of all turns so far."""
        return self._sum + self._clock() - self._start if self._start else self._sum

    def start(self) -> None:
        """Start a turn."""
        self._start = self._clock()

    def stop(self) -> float:
        """End a turn, and return its seconds."""
        seconds = self._clock() - self._start
        self._sum, self._start = self._sum + seconds, 0.0
        return seconds


class Side:
    """A predictor, with or without counting, and its throughput in each turn."""

    def __init__(self, model: Any, submit: Callable[..., object], *, counts: bool) -> None:
        self.clocks = Stopwatch(time.perf_counter), Stopwatch(time.process_time)
        self.metrics = Metrics()
        self._predictor = Predictor(
            model, self.metrics, submit, max_waiting=1000, counts_drift=False
        )
        if counts:
            prepare = prepare_hook(model)
            budget = Budget(*self.clocks)
            self._predictor.watch = Drift(model.signature, self.metrics, prepare, budget)
        self.rates: list[float] = []
        self.answered = 0

    async def turn(self, payloads: list[Any], clients: int) -> None:
        """Answer requests for TURN_SECONDS; record the rate per second of processor time."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        before, left = self.answered, clients
        until = time.perf_counter() + TURN_SECONDS

        def answered(_: Any) -> None:
            nonlocal left
            self.answered += 1
            if time.perf_counter() < until:
                ask()
                return
            left -= 1
            if not left:
                ended.set_result(None)

        def ask() -> None:
            request = InferenceRequest(payloads[self.answered % len(payloads)], [])
            request.set_context(RequestContext("POST", "/", ()))
            self._predictor.predict(request, answered)

        for clock in self.clocks:
            clock.start()
        for _ in range(clients):
            ask()
        await ended
        _, seconds = (clock.stop() for clock in self.clocks)
        self.rates.append((self.answered - before) / seconds)


async def measure(model: Any, payloads: list[Any], clients: int) -> tuple[float, float, float]:
    """The rate without counting, its ratio with counting, and the share of rows counted."""
    with ThreadPoolExecutor(1) as thread:
        sides = [Side(model, thread.submit, counts=counts) for counts in (False, True)]
        for turn in range(TURNS):
            for side in sides if turn % 2 else reversed(sides):
                await side.turn(payloads, clients)
    without, counting = (side.rates[TURNS // 2 :] for side in sides)  # saved budget is used up
    ratio = statistics.median(map(truediv, counting, without))
    share = sides[1].metrics.counter(ROWS).value / sides[1].answered
    return statistics.median(without), ratio, share


def models(scratch: Path) -> Iterator[tuple[str, Any, list[Any]]]:
    """Models and payloads of one row: numbers with a range, and the tables of `make bench`."""
    sys.path[:0] = [str(ROOT / "sklearn/server"), str(ROOT / "bench/models")]
    model, tables = (importlib.import_module(name) for name in ("Model", "train_tables"))
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    numbers = np.random.default_rng(0).normal(size=(200, 4))
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression()).fit(numbers, numbers[:, 0] > 0)
    joblib.dump(pipeline, scratch / "model.joblib")
    yield "4 numbers", model.Model(str(scratch)), [row[None] for row in numbers]
    known, _ = tables.table(np.random.default_rng(0))
    tables.main(scratch)
    for name in ("linear", "forest"):
        yield f"a record, {name}", model.Model(str(scratch / name)), known.to_dict("records")


def main() -> None:
    """Print a row for each model and number of clients."""
    row = functools.partial(print, sep=" | ", flush=True)
    row("", *HEADING, "")
    row("", *["---"] * len(HEADING), "")
    with tempfile.TemporaryDirectory() as scratch:
        for title, model, payloads in models(Path(scratch)):
            for clients in CLIENTS:
                without, ratio, share = asyncio.run(measure(model, payloads, clients))
                row("", title, clients, f"{without:.0f}", f"{ratio:.3f}", f"{share:.0%}", "")


if __name__ == "__main__":
    main()
