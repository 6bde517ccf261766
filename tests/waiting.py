"""Waiting for conditions."""

import time
from collections.abc import Callable

import requests

SECONDS = 60  # a bound for hangs, far above any normal wait


def wait_until(
    is_so: Callable[[], bool], why_not: Callable[[], str] = str, seconds: float = SECONDS
) -> None:
    """Return as soon as the condition holds; after `seconds`, fail with what `why_not` returns."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, why_not()
        time.sleep(0.001)


def wait_until_in_flight(metrics: str, count: int) -> None:
    """Wait until `count` requests are in flight; `metrics` is the URL of the metrics port."""
    gauge = f"\nprepackaged_in_flight_requests {float(count)}\n"
    wait_until(lambda: gauge in requests.get(f"{metrics}/metrics", timeout=SECONDS).text)
