"""Numbers by family and labels: of one process in its memory, of several workers in files too.

The files are prometheus_client's multiprocess files, which it also sums: a killed worker loses no
counts, and its replacement continues in the same files. prometheus_client's own Counter and
Histogram are three times as slow at writing them (docs/transports.md), only count up, and have one
set of labels; a model's metrics may go down and have tags that differ.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString
from seldon_core.metrics import COUNTER, GAUGE, TIMER

Family = tuple[str, str]  # Seldon's type, and the name that Prometheus reads
Labels = tuple[tuple[str, str], ...]
KINDS = {COUNTER: "counter", GAUGE: "gauge", TIMER: "histogram"}
# prometheus_client uses this label itself for gauges; a model's label is stored under:
PID, STORED_PID = "pid", " pid"


class Number:
    """One number; for one thread at a time. `file` may be None."""

    __slots__ = ("_key", "file", "value")

    def __init__(self, file: MmapedDict | None, key: str) -> None:
        self.file = file
        self._key = key
        self.value: float = file.read_value(key)[0] if file else 0

    def add(self, amount: float) -> None:
        """Increase it."""
        self.value += amount
        if self.file:
            self.file.write_value(self._key, self.value, 0.0)

    def set(self, value: float) -> None:
        """Replace it; of several workers' numbers, the last one set may count."""
        self.value = value
        if self.file:
            self.file.write_value(self._key, value, time.time())

    def samples(self, name: str, labels: dict[str, str]) -> list[Sample]:
        """Its line on the page."""
        return [Sample(name, labels, self.value)]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, the last of which ends at infinity, and the sum of the values."""

    bounds: Sequence[float]
    buckets: list[Number]
    total: Number

    def observe(self, value: float) -> None:
        """Count a value, in the first bucket whose bound is at least as large."""
        bucket, total = self.buckets[bisect_left(self.bounds, value)], self.total
        if total.file:
            bucket.add(1)
            total.add(value)
        else:  # the same without two calls, which each request would make
            bucket.value += 1
            total.value += value

    def samples(self, name: str, labels: dict[str, str]) -> list[Sample]:
        """Its lines on the page."""
        counts = list(accumulate(bucket.value for bucket in self.buckets))
        return [
            *(
                Sample(f"{name}_bucket", labels | {"le": bound}, count)
                for bound, count in zip(map(floatToGoString, self.bounds), counts, strict=True)
            ),
            Sample(f"{name}_count", labels, counts[-1]),
            Sample(f"{name}_sum", labels, self.total.value),
        ]


@dataclass
class Series:
    """All numbers of a process; a worker also keeps them in its files in a shared directory.

    Any thread may ask for a number; `helps` are the families' HELP lines.
    """

    helps: Mapping[str, str]
    directory: Path | None = None
    worker: int = 0
    _lock: Lock = field(default_factory=Lock)
    _open: dict[str, MmapedDict] = field(default_factory=dict)
    _known: dict[Family, dict[Labels, Any]] = field(default_factory=dict)

    @property
    def families(self) -> list[Family]:
        """The families that have numbers."""
        return list(self._known)

    def number(self, family: Family, labels: Labels, merge: str = "") -> Any:
        """A `Number`. `merge` is how a gauge's workers become one: prometheus_client's word."""
        with self._lock:
            series = self._known.setdefault(family, {})
            if labels not in series:
                series[labels] = self._number(family, family[1], labels, merge)
            return series[labels]

    def forget(self, family: Family, labels: Labels) -> None:
        """Leave out a number from now on; files keep it."""
        with self._lock:
            del self._known[family][labels]

    def histogram(self, family: Family, labels: Labels, bounds: Sequence[float]) -> Any:
        """A `Histogram`; `bounds` are its buckets' upper bounds, less infinity."""
        name, bounds = family[1], (*bounds, math.inf)
        with self._lock:
            series = self._known.setdefault(family, {})
            if labels not in series:
                total = self._number(family, f"{name}_sum", labels)
                ends = [(*labels, ("le", floatToGoString(bound))) for bound in bounds]
                buckets = [self._number(family, f"{name}_bucket", end) for end in ends]
                series[labels] = Histogram(bounds, buckets, total)
            return series[labels]

    def collect(self) -> Iterator[Metric]:
        """Yield the families of this process."""
        for family, series in list(self._known.items()):
            metric = Metric(_stem(family), self.helps.get(family[1], ""), KINDS[family[0]])
            for labels, each in list(series.items()):
                metric.samples += each.samples(family[1], dict(labels))
            yield metric

    def _number(self, family: Family, name: str, labels: Labels, merge: str = "") -> Number:
        if not self.directory:
            return Number(None, "")
        kind = "_".join(filter(None, (KINDS[family[0]], merge, str(self.worker))))
        file = self._open.get(kind)
        if not file:
            file = self._open[kind] = MmapedDict(str(self.directory / f"{kind}.db"))
        keys = [STORED_PID if key == PID else key for key, _ in labels]
        values = [value for _, value in labels]
        key = mmap_key(_stem(family), name, keys, values, self.helps.get(family[1], ""))
        return Number(file, key)


def collect_files(directory: Path) -> Iterator[Metric]:
    """Yield the families of all workers: sums, and gauges as `merge` says."""
    for kind in KINDS.values():
        files = [file for file in sorted(directory.glob(f"{kind}_*")) if file.stat().st_size]
        for metric in MultiProcessCollector.merge(map(str, files)):
            for sample in metric.samples:
                if STORED_PID in sample.labels:
                    sample.labels[PID] = sample.labels.pop(STORED_PID)
            yield metric


def _stem(family: Family) -> str:
    """The family's name as prometheus_client has it, which adds a counter's `_total`."""
    kind, name = family
    return name.removesuffix("_total") if kind == COUNTER else name
