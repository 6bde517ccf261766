"""What the server counts, and its text for Prometheus.

`Metrics` takes custom metrics and feedback as seldon_core.metrics.SeldonMetrics does and
exposes them under the same names and labels, less `worker_id`: what several workers counted
is summed by `expose`. The server's own families begin with `prepackaged_`.
"""

import logging
import math
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from seldon_core import metrics as seldon
from seldon_core.metrics import COUNTER, GAUGE, TIMER

from prepackaged.server.telemetry.custom_metrics import filled, number_of, validate

logger = logging.getLogger(__name__)

Family = tuple[str, str]  # Seldon's type, and the name that Prometheus reads
Labels = tuple[tuple[str, str], ...]
# Plain data that may cross to another process. Behind the labels are a counter's number; a
# gauge's number, and when it was set if the model set it; a histogram's counts by bucket,
# then the sum of its values.
Snapshot = dict[Family, dict[Labels, Any]]

REQUESTS = (COUNTER, "prepackaged_requests_total")
REQUEST_SECONDS = (TIMER, "prepackaged_request_seconds")
BATCH_REQUESTS = (TIMER, "prepackaged_batch_requests")
# The gauges that `set_gauge` knows, and how the numbers of several workers become one.
OWN_GAUGES: dict[str, Callable[[Iterable[float]], float]] = {
    "prepackaged_queue_depth_requests": sum,
    "prepackaged_in_flight_requests": sum,
    "prepackaged_model_load_seconds": max,
    "prepackaged_batching_enabled": min,
    "prepackaged_build_info": max,
}
HELP = {
    "prepackaged_requests_total": "Requests answered, by method and HTTP status or its like.",
    "prepackaged_request_seconds": "Time from a request's arrival to its answer.",
    "prepackaged_batch_requests": "Requests that one call of the model answered.",
    "prepackaged_queue_depth_requests": "Requests that wait for the model.",
    "prepackaged_in_flight_requests": "Requests that are not answered yet.",
    "prepackaged_model_load_seconds": "Time that loading the model took.",
    "prepackaged_batching_enabled": "1 while requests may be answered together, else 0.",
    "prepackaged_build_info": "Always 1; the labels say what runs.",
}
# Upper bounds of the buckets, less the last, which is infinity.
SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TIMER_SECONDS = tuple(float(bound) for bound in seldon.BINS[1:-1])
BOUNDS: dict[str, tuple[float, ...]] = {REQUEST_SECONDS[1]: SECONDS, BATCH_REQUESTS[1]: SIZES}
CLASSES = {COUNTER: CounterMetricFamily, GAUGE: GaugeMetricFamily, TIMER: HistogramMetricFamily}


class Metrics:
    """What one process counts. `update` and `update_reward` may be called on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._custom: Snapshot = {}
        self._gauges: dict[tuple[str, Labels], float | Callable[[], float]] = {}
        self._requests: dict[tuple[str, int], list[float]] = {}
        self._batches: list[float] = _empty(SIZES)

    def update(self, custom_metrics: list[dict[str, Any]], method: str) -> None:
        """Count what a model's hook reported; like upstream, note the method in its tags.

        A type that is missing is COUNTER and a value that is missing is 0: a message that was
        turned from protobuf into JSON goes without them. Raises `BadMetricError`, and then
        counts nothing.
        """
        metrics = filled(custom_metrics)
        validate(metrics)
        with self._lock:
            for metric in metrics:
                tags = metric.setdefault("tags", {})
                tags["method"] = method
                own = {key: tags[key] for key in tags if key not in seldon.DEFAULT_LABELS}
                self._add(_family(metric), tuple(sorted(own.items())), number_of(metric["value"]))

    def update_reward(self, reward: float) -> None:
        """Count a feedback with its reward, unless that is 0 or would spoil the sum."""
        if not reward or not math.isfinite(reward) or seldon.legacy_mode:
            return
        counts = {seldon.FEEDBACK_KEY: 1, seldon.FEEDBACK_REWARD_KEY: reward}
        counters = [{"key": key, "value": value} for key, value in counts.items()]
        self.update(counters, seldon.FEEDBACK_METRIC_METHOD_TAG)

    def observe_request(self, method: str, code: int, seconds: float) -> None:
        """Count an answered request. For the event loop alone: there is no lock."""
        counts = self._requests.get((method, code))
        if counts is None:
            counts = self._requests[method, code] = _empty(SECONDS)
        counts[bisect_left(SECONDS, seconds)] += 1
        counts[-1] += seconds

    def observe_batch(self, requests: int) -> None:
        """Count a call of the model. For the one thread alone that calls it: there is no lock."""
        self._batches[bisect_left(SIZES, requests)] += 1
        self._batches[-1] += requests

    def set_gauge(self, name: str, value: float | Callable[[], float], **labels: str) -> None:
        """Set one of OWN_GAUGES to a number, or to what a function says whenever it is read."""
        if name not in OWN_GAUGES:
            raise KeyError(name)
        self._gauges[name, _texts(labels)] = value

    def snapshot(self) -> Snapshot:
        """Everything counted so far, as plain data."""
        with self._lock:
            families: Snapshot = {
                family: {
                    _texts(dict(tags) | seldon.DEFAULT_LABELS): copy(cell)
                    for tags, cell in series.items()
                }
                for family, series in self._custom.items()
            }
        for (name, labels), value in list(self._gauges.items()):
            gauges = families.setdefault((GAUGE, name), {})
            gauges[labels] = value() if callable(value) else value
        for (method, code), counts in list(self._requests.items()):
            labels = (("code", str(code)), ("method", method))
            families.setdefault(REQUEST_SECONDS, {})[labels] = list(counts)
            families.setdefault(REQUESTS, {})[labels] = sum(counts[:-1])
        families[BATCH_REQUESTS] = {(): list(self._batches)}
        return families

    def exposition(self) -> tuple[bytes, str]:
        """What `expose` makes of this process alone."""
        return expose([self.snapshot()])

    def _add(self, family: Family, labels: Labels, number: float) -> None:
        if family not in self._custom:
            self._warn_of_clash(family)
        series = self._custom.setdefault(family, {})
        if family[0] == COUNTER:
            series[labels] = series.get(labels, 0.0) + number
        elif family[0] == GAUGE:
            series[labels] = (time.monotonic(), number)
        else:
            _observe_as_numpy(series.setdefault(labels, _empty(TIMER_SECONDS)), number / 1000)

    def _warn_of_clash(self, family: Family) -> None:
        for other in self._custom:
            if not _names(family).isdisjoint(_names(other)):
                logger.warning("The %s %s is not shown: its name is the %s %s's", *family, *other)


def expose(snapshots: Iterable[Snapshot]) -> tuple[bytes, str]:
    """The metrics of one or more workers as Prometheus reads them, and their content type."""
    registry = CollectorRegistry()
    registry.register(_Collected(merged(snapshots)))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """What several workers counted: sums, and of a model's gauge what was set last."""
    cells: dict[Family, dict[Labels, list[Any]]] = {}
    for snapshot in snapshots:
        for family, series in snapshot.items():
            together = cells.setdefault(family, {})
            for labels, cell in series.items():
                together.setdefault(labels, []).append(cell)
    return {
        family: {labels: _merged(family, each) for labels, each in series.items()}
        for family, series in cells.items()
    }


def remains(snapshot: Snapshot) -> Snapshot:
    """What is left of a worker that has ended: what it counted, but not its state."""
    return {family: series for family, series in snapshot.items() if family[1] not in OWN_GAUGES}


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._families = snapshot

    def collect(self) -> Iterator[Metric]:
        """Each family once; one whose names are another's already is left out."""
        taken: set[str] = set()
        for family, series in self._families.items():
            if taken.isdisjoint(_names(family)):
                taken |= _names(family)
                first, *others = (_metric(family, *each) for each in series.items())
                first.samples += [sample for each in others for sample in each.samples]
                yield first


def _merged(family: Family, cells: list[Any]) -> Any:
    kind, name = family
    if kind == TIMER:
        return [sum(column) for column in zip(*cells, strict=True)]
    return sum(cells) if kind == COUNTER else OWN_GAUGES.get(name, max)(cells)


def _metric(family: Family, labels: Labels, cell: Any) -> Metric:
    """One series as a family of its own."""
    kind, name = family
    metric: Any = CLASSES[kind](name, HELP.get(name, ""), labels=[key for key, _ in labels])
    values = [value for _, value in labels]
    if kind == TIMER:
        bounds = map(floatToGoString, (*BOUNDS.get(name, TIMER_SECONDS), math.inf))
        *counts, total = cell
        metric.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total)
    else:
        is_model_s = kind == GAUGE and name not in OWN_GAUGES
        metric.add_metric(values, cell[1] if is_model_s else cell)
    return metric  # type: ignore[no-any-return]


def _names(family: Family) -> set[str]:
    """The names that a family's lines go by."""
    kind, name = family
    return {name + part for part in (("", "_bucket", "_count", "_sum") if kind == TIMER else ("",))}


def _empty(bounds: Sequence[float]) -> list[float]:
    return [0] * (len(bounds) + 2)  # infinity's bucket and the sum


def _observe_as_numpy(counts: list[float], value: float) -> None:
    """As np.histogram, which upstream uses: bounds belong to the next bucket, negatives to none."""
    if value >= 0:
        counts[bisect_right(TIMER_SECONDS, value)] += 1
    counts[-1] += value


def _family(metric: dict[str, Any]) -> Family:
    kind, key = metric["type"], metric["key"]
    return kind, key.removesuffix("_total") + "_total" if kind == COUNTER else key


def _texts(labels: Mapping[str, Any]) -> Labels:
    """Labels in order, less what cannot be written as UTF-8."""
    clean = {key: str(labels[key]).encode(errors="replace").decode() for key in labels}
    return tuple(sorted(clean.items()))
