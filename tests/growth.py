"""How the work for a request grows with its size, independent of the machine's speed."""

import gc
import math
import time
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
ROUNDS = 5
ATTEMPTS = 3  # on a busy machine one may be far from the truth
TIMES = 8  # the large input is this many times the small one
MOST = 3 * TIMES  # bound for linear work; quadratic work takes TIMES * TIMES


def growth(work: Callable[[Made], object], make: Callable[[int], Made], size: int) -> float:
    """Return the ratio of CPU times for an input TIMES as large, the least of some attempts."""
    small, large = make(size), make(size * TIMES)
    ratio = math.inf
    for _ in range(ATTEMPTS):
        ratio = min(ratio, _least(work, large) / _least(work, small))
        if ratio < MOST:
            break
    return ratio


def _least(work: Callable[[Made], object], made: Made) -> float:
    return min(_seconds(work, made) for _ in range(ROUNDS))


def _seconds(work: Callable[[Made], object], made: Made) -> float:
    gc.disable()  # it would traverse all objects of earlier tests
    try:
        start = time.process_time()
        work(made)
        return time.process_time() - start
    finally:
        gc.enable()
