"""The server's metrics, and their text for Prometheus.

`Metrics` accepts custom metrics and feedback as seldon_core.metrics.SeldonMetrics does, and exposes
them under the same names and labels, but without `worker_id`: `expose` sums the counts of several
workers. The server's own families begin with `prepackaged_`.
"""

import logging
import math
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from seldon_core import metrics as seldon
from seldon_core.metrics import COUNTER, GAUGE, TIMER

from prepackaged.server.telemetry.custom_metrics import filled, number_of, validate
from prepackaged.server.telemetry.series import (
    Family,
    Histogram,
    Labels,
    Number,
    Series,
    collect_files,
)

logger = logging.getLogger(__name__)

REQUESTS = (COUNTER, "prepackaged_requests_total")
REQUEST_SECONDS = (TIMER, "prepackaged_request_seconds")
BATCH_REQUESTS = (TIMER, "prepackaged_batch_requests")
ROWS = "prepackaged_input_rows_total"
ANOMALIES = "prepackaged_input_anomalies_total"
PREDICTED_CLASSES = "prepackaged_predicted_class_total"
RELOADS = (COUNTER, "prepackaged_model_reloads_total")
# The gauges that `set_gauge` knows, and how those of the workers that live become one.
OWN_GAUGES = {
    "prepackaged_queue_depth_requests": "livesum",
    "prepackaged_in_flight_requests": "livesum",
    "prepackaged_model_load_seconds": "livemax",
    "prepackaged_batching_enabled": "livemin",
    "prepackaged_build_info": "livemax",
    "prepackaged_model_info": "livemax",
    "prepackaged_model_last_reload_successful": "livemin",
    "prepackaged_model_last_reload_success_timestamp_seconds": "livemin",
}
INFOS = {"prepackaged_build_info", "prepackaged_model_info"}
HELP = {
    "prepackaged_requests_total": (
        "Requests answered, by method and HTTP status; for gRPC, the corresponding HTTP status."
    ),
    "prepackaged_request_seconds": "Time from a request's arrival to its answer.",
    "prepackaged_batch_requests": "Requests that one call to the model answered.",
    ROWS: "Rows that were checked for drift.",
    ANOMALIES: "Values in these rows that were missing, of an unknown category or out of range.",
    PREDICTED_CLASSES: "Rows by the class that the model predicted.",
    "prepackaged_queue_depth_requests": "Requests that wait for the model.",
    "prepackaged_in_flight_requests": "Requests that are not answered yet.",
    "prepackaged_model_load_seconds": "Seconds that the first load of the model took.",
    "prepackaged_batching_enabled": "1 while requests may be answered together, else 0.",
    "prepackaged_build_info": "Always 1; the labels say what runs.",
    "prepackaged_model_info": "Always 1; the labels say which model is served.",
    "prepackaged_model_reloads_total": "Reloads of the model, by result.",
    "prepackaged_model_last_reload_successful": (
        "1 if the last reload succeeded or none was tried, else 0."
    ),
    "prepackaged_model_last_reload_success_timestamp_seconds": (
        "Unix time of the last successful load, at the start or by a reload."
    ),
}
# Upper bounds of the buckets, except the last, which is infinity.
SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TIMER_SECONDS = tuple(float(bound) for bound in seldon.BINS[1:-1])


class Metrics:
    """The metrics of one process; workers keep theirs in a directory that they share.

    `update` and `update_reward` may be called on any thread.
    """

    def __init__(self, directory: Path | None = None, worker: int = 0) -> None:
        self._lock = threading.Lock()
        self._series = Series(HELP, directory, worker)
        self._custom: dict[tuple[Family, Labels], Any] = {}
        self._hidden: set[Family] = set()
        self._gauges: dict[Number, Callable[[], float]] = {}
        self._infos: dict[str, Labels] = {}
        self._requests: dict[tuple[str, int], tuple[Number, Histogram]] = {}
        self._batches = self._series.histogram(BATCH_REQUESTS, (), SIZES)

    def update(self, custom_metrics: list[dict[str, Any]], method: str) -> None:
        """Count what a model's hook reported; like upstream, note the method in its tags.

        A missing type means COUNTER and a missing value means 0, because protobuf's JSON leaves
        them out. Raises `BadMetricError`, and then counts nothing.
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
        """Count an answered request. Only for the event loop: there is no lock."""
        series = self._requests.get((method, code))
        if series is None:
            labels = (("code", str(code)), ("method", method))
            number = self._series.number(REQUESTS, labels)
            histogram = self._series.histogram(REQUEST_SECONDS, labels, SECONDS)
            series = self._requests[method, code] = (number, histogram)
        series[0].add(1)
        series[1].observe(seconds)

    def observe_batch(self, requests: int) -> None:
        """Count a call to the model. Only for the thread that calls it: there is no lock."""
        self._batches.observe(requests)

    def counter(self, name: str, **labels: str) -> Number:
        """One of the server's own counters, at 0. For one thread at a time: there is no lock."""
        number: Number = self._series.number((COUNTER, name), _texts(labels))
        return number

    def count_reloads(self, result: str, number: int) -> None:
        """Count reloads of the model that were a `success` or a `failure`."""
        self._series.number(RELOADS, (("result", result),)).add(number)

    def set_gauge(self, name: str, value: float | Callable[[], float], **labels: str) -> None:
        """Set one of OWN_GAUGES to a number, or to a function that each `refresh` calls."""
        gauge = self._series.number((GAUGE, name), _texts(labels), OWN_GAUGES[name])
        if callable(value):
            self._gauges[gauge] = value
        else:
            gauge.set(value)

    def set_info(self, name: str, labels: Mapping[str, str]) -> None:
        """Set one of INFOS, whose value is always 1, to these labels only."""
        self.clear_info(name)
        texts = self._infos[name] = _texts(labels)
        self._series.number((GAUGE, name), texts, OWN_GAUGES[name]).set(1)

    def clear_info(self, name: str) -> None:
        """Remove one of INFOS until it is set again."""
        family, before = (GAUGE, name), self._infos.pop(name, None)
        if before is not None:
            self._series.number(family, before, OWN_GAUGES[name]).set(0)  # which no page shows
            self._series.forget(family, before)

    def refresh(self) -> None:
        """Read the gauges that are functions. Only for the event loop."""
        for gauge, read in self._gauges.items():
            gauge.set(read())

    def exposition(self) -> tuple[bytes, str]:
        """The metrics of this process as text for Prometheus, and its content type."""
        self.refresh()
        return _page(self._series.collect())

    def _add(self, family: Family, tags: Labels, number: float) -> None:
        series: Any = self._custom.get((family, tags))
        if series is None:
            if self._is_hidden(family):
                return
            series = self._custom[family, tags] = self._new(family, tags)
        if family[0] == COUNTER:
            series.add(number)
        elif family[0] == GAUGE:
            series.set(number)
        else:
            _observe_as_numpy(series, number / 1000)

    def _new(self, family: Family, tags: Labels) -> Any:
        labels = _texts(dict(tags) | seldon.DEFAULT_LABELS)
        if family[0] == TIMER:
            return self._series.histogram(family, labels, TIMER_SECONDS)
        return self._series.number(family, labels, "mostrecent" if family[0] == GAUGE else "")

    def _is_hidden(self, family: Family) -> bool:
        """Whether another family already has the names of its lines; logged once."""
        if family in self._hidden:
            return True
        for other in self._series.families:
            if other != family and not _names(*family).isdisjoint(_names(*other)):
                logger.warning("The %s %s is not shown: the %s %s has its name", *family, *other)
                self._hidden.add(family)
                return True
        return False


def expose(directory: Path) -> tuple[bytes, str]:
    """The metrics of all workers as text for Prometheus, and its content type."""
    return _page(collect_files(directory))


def _page(families: Iterable[Metric]) -> tuple[bytes, str]:
    registry = CollectorRegistry()
    registry.register(_Collected(families))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collected(Collector):
    """Families except those whose names another family has already: workers may differ in that."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        taken: set[str] = set()
        for family in self._families:
            if family.name in INFOS:
                family.samples = [each for each in family.samples if each.value]
            names = {sample.name for sample in family.samples}
            names |= {family.name} - {family.name if family.type == "counter" else ""}
            if taken.isdisjoint(names):
                taken |= names
                yield family


def _names(kind: str, name: str) -> set[str]:
    """The names that a family's lines go by."""
    return {name + part for part in (("", "_bucket", "_count", "_sum") if kind == TIMER else ("",))}


def _observe_as_numpy(histogram: Histogram, value: float) -> None:
    """As np.histogram, which upstream uses: a bound is in the next bucket, a negative in none."""
    if value >= 0:
        bucket = min(bisect_right(histogram.bounds, value), len(TIMER_SECONDS))
        histogram.buckets[bucket].add(1)
    histogram.total.add(value)


def _family(metric: dict[str, Any]) -> Family:
    kind, key = metric["type"], metric["key"]
    return kind, key.removesuffix("_total") + "_total" if kind == COUNTER else key


def _texts(labels: Mapping[str, Any]) -> Labels:
    """Labels in order, without characters that UTF-8 cannot encode."""
    clean = {key: str(labels[key]).encode(errors="replace").decode() for key in labels}
    return tuple(sorted(clean.items()))
