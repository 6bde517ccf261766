"""Waiting for what must come to pass."""

import time
from collections.abc import Callable

import requests

SECONDS = 60  # a bound for what hangs, far above any honest wait


def wait_until(is_so: Callable[[], bool]) -> None:
    """Return as soon as something is so; fail where it does not come to pass."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def wait_until_in_flight(metrics: str, count: int) -> None:
    """Return once so many requests are in flight at the server whose metrics are at this URL."""
    gauge = f"\nprepackaged_in_flight_requests {float(count)}\n"
    wait_until(lambda: gauge in requests.get(f"{metrics}/metrics", timeout=SECONDS).text)
