"""Waiting for what must come to pass."""

import time
from collections.abc import Callable

SECONDS = 60  # a bound for what hangs, far above any honest wait


def wait_until(is_so: Callable[[], bool]) -> None:
    """Return as soon as something is so; fail where it does not come to pass."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)
