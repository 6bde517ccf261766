"""What it costs to count a request: ours, and prometheus_client's multiprocess mode."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

from prepackaged.server.telemetry.metrics import SECONDS, Metrics

ROUNDS, TIMES = 15, 20_000


def table() -> Iterator[str]:
    """A Markdown table of microseconds for a request that is counted and timed."""
    yield "| counting a request | us |"
    yield "| --- | ---: |"
    for name, count in (("ours", ours()), ("prometheus_client, multiprocess", multiprocess())):
        yield f"| {name} | {statistics.median(microseconds(count) for _ in range(ROUNDS)):.2f} |"


def ours() -> Callable[[], object]:
    """The server's own counters."""
    metrics = Metrics()
    return lambda: metrics.observe_request("predict", 200, 0.003)


def multiprocess() -> Callable[[], object]:
    """The same counts in files that several processes share."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
    from prometheus_client import Counter, Histogram  # which look at the variable once

    labels = ("predict", "200")
    requests = Counter("requests", "counted", ["method", "code"]).labels(*labels)
    times = Histogram("seconds", "timed", ["method", "code"], buckets=SECONDS).labels(*labels)

    def count() -> None:
        requests.inc()
        times.observe(0.003)

    return count


def microseconds(function: Callable[[], object]) -> float:
    """What one call takes."""
    start = time.perf_counter()
    for _ in range(TIMES):
        function()
    return (time.perf_counter() - start) / TIMES * 1e6


if __name__ == "__main__":
    print(*table(), sep="\n")
