"""A Model that forks children, as data loaders and worker pools do."""

import multiprocessing
import os
import threading
import time
from typing import Any

FORK = multiprocessing.get_context("fork")


def square(number: int) -> int:
    """The function that the pool's children run."""
    return number * number


class Children:
    """Calls its method named by `strData`."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        return f"{getattr(self, X)()}"

    def pool(self) -> list[int]:
        """Compute in a pool of two children, which the pool terminates."""
        with FORK.Pool(2) as pool:
            return pool.map(square, range(4))

    def terminate(self) -> int | None:
        """Terminate a sleeping child and return its exit code, the negative signal number."""
        child = FORK.Process(target=time.sleep, args=(600,))
        child.start()
        child.terminate()
        child.join(60)
        return child.exitcode

    def thread(self) -> str:
        """Leave a non-daemon thread running, and return the process ID."""
        threading.Thread(target=time.sleep, args=(600,)).start()
        return f"{os.getpid()}"
