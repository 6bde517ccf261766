"""A Model that forks children, as data loaders and worker pools do."""

import multiprocessing
import os
import threading
import time
from typing import Any

FORK = multiprocessing.get_context("fork")


def square(number: int) -> int:
    """What a child computes."""
    return number * number


class Children:
    """Does what `strData` says with a child."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        return f"{getattr(self, X)()}"

    def pool(self) -> list[int]:
        """Two children compute, and are terminated with their pool."""
        with FORK.Pool(2) as pool:
            return pool.map(square, range(4))

    def terminate(self) -> int | None:
        """A child that sleeps is terminated; its exit code is the signal's."""
        child = FORK.Process(target=time.sleep, args=(600,))
        child.start()
        child.terminate()
        child.join(60)
        return child.exitcode

    def thread(self) -> str:
        """A thread that never ends is left behind, and is no daemon."""
        threading.Thread(target=time.sleep, args=(600,)).start()
        return f"{os.getpid()}"
