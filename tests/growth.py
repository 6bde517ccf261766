"""How the work for a request grows with its size, free of how fast the machine is."""

import gc
import time
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
ROUNDS = 5
TIMES = 8  # as large is the larger one
MOST = 3 * TIMES  # of linear work; quadratic work is TIMES * TIMES


def growth(work: Callable[[Made], object], make: Callable[[int], Made], size: int) -> float:
    """How many times longer the processor works for what is TIMES as large."""
    small, large = make(size), make(size * TIMES)
    return _least(work, large) / _least(work, small)


def _least(work: Callable[[Made], object], made: Made) -> float:
    return min(_seconds(work, made) for _ in range(ROUNDS))


def _seconds(work: Callable[[Made], object], made: Made) -> float:
    gc.disable()  # it would look at everything that the tests have made so far
    try:
        start = time.process_time()
        work(made)
        return time.process_time() - start
    finally:
        gc.enable()
