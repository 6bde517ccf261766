"""Count input values that training did not have, and predicted classes.

Only columns and classes of the signature become labels, never anything that a client sent. Counting
may use 1 % of the process's processor time plus 0.1 % of the elapsed time. Above that, whole
batches are skipped, rows and anomalies alike, so that the share of anomalies stays right.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.server.inference.anomalies import Anomalies, Values
from prepackaged.server.inference.decoded import DecodedColumns, Prepare, stacked
from prepackaged.server.inference.predicted_classes import class_reader
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.inference.work import AGAIN
from prepackaged.server.telemetry.metrics import ANOMALIES, PREDICTED_CLASSES, ROWS, Metrics
from prepackaged.server.telemetry.series import Number
from prepackaged.signature import Signature, declared_signature

logger = logging.getLogger(__name__)

SHARE = 0.01  # the share of the process's processor time that counting may use
IDLE_SHARE = 0.001  # the same share of elapsed time; on a quiet server every request counts
MOST_SAVED = 0.05  # seconds that may be saved up
MOST_LABELS = 100  # columns, and as many classes
OTHER = "_other"  # the label of the rest
LONGEST = 100  # characters of a name in a label

#: Called with the requests of a batch and an outcome for each.
Watch = Callable[[Sequence[InferenceRequest], Sequence[Any]], None]


class Budget:
    """The processor time that may be spent on counting, which grows with time, up to a bound.

    `clock` returns the time, `used` the process's processor time, and `spent` this thread's.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        used: Callable[[], float] = time.process_time,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._used, self._spent = clock, used, spent
        self._left, self._start = MOST_SAVED, 0.0
        self._then, self._used_then = clock(), used()
        self._earliest = -math.inf

    def begin(self) -> bool:
        """Whether there is time to count now."""
        now = self._clock()
        if now < self._earliest:  # asking for processor times takes ten times as long
            return False
        used = self._used()
        passed, busy = now - self._then, used - self._used_then
        earned = SHARE * min(passed, busy) + IDLE_SHARE * passed  # one thread's, of many
        self._left = min(self._left + earned, MOST_SAVED)
        self._then, self._used_then = now, used
        if self._left <= 0:
            self._earliest = now - self._left / (SHARE + IDLE_SHARE)
            return False
        self._start = self._spent()
        return True

    def end(self) -> None:
        """Take off the time since `begin`."""
        self._left -= self._spent() - self._start


class Drift:
    """Counts answered requests by the facts in a signature; on one thread at a time.

    `prepare` is the model's hook, or None.
    """

    def __init__(
        self,
        signature: Signature,
        metrics: Metrics,
        prepare: Prepare | None,
        budget: Budget | None = None,
    ) -> None:
        self._columns = DecodedColumns(signature.inputs, prepare)
        self._anomalies = Anomalies(self._columns.used)
        self._classes = class_reader(signature)
        self._budget = budget or Budget()
        self._counted = [(at, each) for at, each in enumerate(self._anomalies.kinds) if each]
        self._is_on = bool(self._counted) or self._classes is not None
        self._counters: dict[tuple[int, str], Number] = {}
        self._class_counters: list[Number] = []
        self._make_counters(signature, metrics)

    def __call__(self, requests: Sequence[InferenceRequest], outcomes: Sequence[Any]) -> None:
        """Count the requests of a batch that were answered, if there is time."""
        if not (self._is_on and self._budget.begin()):
            return
        try:
            self._count(requests, outcomes)
        except Exception:  # of somebody's own payloads or answers, which are right all the same
            logger.warning("Drift is no longer counted", exc_info=True)
            self._is_on = False
        self._budget.end()

    def _make_counters(self, signature: Signature, metrics: Metrics) -> None:
        """All series at 0, so that rates are known from the first request on."""
        if not self._is_on:
            return
        self._rows = metrics.counter(ROWS)
        for number, (place, kinds) in enumerate(self._counted):
            name = self._columns.used[place].name
            label = cut(str(place if name is None else name), place)
            for kind in kinds:
                labels = {"column": label if number < MOST_LABELS else OTHER, "kind": kind}
                self._counters[place, kind] = metrics.counter(ANOMALIES, **labels)
        for place, name in enumerate(signature.class_names or () if self._classes else ()):
            label = cut(str(name), place) if place < MOST_LABELS else OTHER
            self._class_counters.append(metrics.counter(PREDICTED_CLASSES, **{"class": label}))

    def _count(self, requests: Sequence[InferenceRequest], outcomes: Sequence[Any]) -> None:
        pairs = list(zip(requests, outcomes, strict=True))
        answered = [(each, result) for each, result in pairs if is_answer(result)]
        if self._counted:
            found = (self._columns.of(each) for each, _ in answered)
            tables = [table for table in found if table is not None]
            self._rows.add(sum(map(len, tables)))
            for values in stacked(tables):
                self._count_anomalies(values)
        else:
            self._rows.add(sum(each.rows for each, _ in answered))
        if self._classes:
            results = [result for each, result in answered if is_usual(each)]
            self._count_classes(map(self._classes, joined(results)))

    def _count_anomalies(self, values: Values) -> None:
        for place, kind, count in self._anomalies(values):
            if counter := self._counters.get((place, kind)):
                counter.add(count)

    def _count_classes(self, predicted: Iterable[Array | None]) -> None:
        for places in predicted:
            counts = np.bincount([] if places is None else places).tolist()
            for counter, count in zip(self._class_counters, counts, strict=False):
                if count:
                    counter.add(count)


def drift_of(model: Any, metrics: Metrics, prepare: Prepare | None) -> Watch:
    """The counter for a model; one that does nothing if the model has no signature."""
    signature = declared_signature(model)
    return Drift(signature, metrics, prepare) if signature else nothing


def nothing(requests: Sequence[InferenceRequest], outcomes: Sequence[Any]) -> None:
    """Count nothing, for models without a signature."""


def is_answer(outcome: Any) -> bool:
    """Whether a request got an answer, not an error or `AGAIN`."""
    return outcome is not AGAIN and not isinstance(outcome, BaseException)


def is_usual(request: InferenceRequest) -> bool:
    """Whether the default method answered a request."""
    tags = request.meta.get("tags")
    return not (request.parameters or (isinstance(tags, Mapping) and "method" in tags))


def joined(results: Sequence[Any]) -> Sequence[Any]:
    """The rows of all results as one array; None if they do not form one."""
    shapes = {
        each.shape[1:] if isinstance(each, np.ndarray) and each.ndim else None for each in results
    }
    return [np.concatenate(results)] if len(shapes) == 1 and None not in shapes else results


def cut(name: str, place: int) -> str:
    """A name as a label; a long name is cut, with its place to tell it from others."""
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}... ({place})"
