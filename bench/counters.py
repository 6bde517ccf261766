"""Measure the cost of counting a request: in memory, in files, with prometheus_client's classes."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import Counter, Histogram, values

from prepackaged.server.telemetry.metrics import SECONDS, Metrics

ROUNDS, TIMES = 15, 20_000


def table() -> Iterator[str]:
    """A Markdown table of microseconds per counted and timed request, the best of ROUNDS."""
    ways = {
        "a single process, in memory": ours(None),
        "one of several workers, in prometheus_client's multiprocess files": ours(scratch()),
        "prometheus_client's `Counter` and `Histogram`, into the same files": multiprocess(),
    }
    yield "| counting and timing a request | us |"
    yield "| --- | ---: |"
    for name, count in ways.items():
        yield f"| {name} | {min(microseconds(count) for _ in range(ROUNDS)):.2f} |"


def scratch() -> Path:
    """A temporary directory."""
    return Path(tempfile.mkdtemp())


def ours(directory: Path | None) -> Callable[[], object]:
    """Count with the server's own counters, in files if there is a directory."""
    metrics = Metrics(directory)
    return lambda: metrics.observe_request("predict", 200, 0.003)


def multiprocess() -> Callable[[], object]:
    """Count with prometheus_client's counters, in files that several processes share."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(scratch())
    values.ValueClass = values.MultiProcessValue()  # importing chose it before the variable was set
    labels = ("predict", "200")
    requests = Counter("requests", "counted", ["method", "code"]).labels(*labels)
    times = Histogram("seconds", "timed", ["method", "code"], buckets=SECONDS).labels(*labels)

    def count() -> None:
        requests.inc()
        times.observe(0.003)

    return count


def microseconds(function: Callable[[], object]) -> float:
    """The microseconds of one call."""
    start = time.perf_counter()
    for _ in range(TIMES):
        function()
    return (time.perf_counter() - start) / TIMES * 1e6


if __name__ == "__main__":
    print(*table(), sep="\n")
