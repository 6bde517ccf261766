"""A Model that forks children, as data loaders and worker pools do."""

import atexit
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

FORK = multiprocessing.get_context("fork")


def hang_up() -> None:
    """Send SIGHUP to this process."""
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(600)


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

    def executor(self) -> list[int]:
        """Compute in the processes of an executor."""
        with ProcessPoolExecutor(2, FORK) as executor:
            return list(executor.map(square, range(4)))

    def suicide(self) -> int | None:
        """Fork a child that sends SIGHUP to itself, and return its exit code."""
        child = FORK.Process(target=hang_up)
        child.start()
        child.join(60)
        return child.exitcode

    def keep(self) -> int:
        """Keep a sleeping child, and return the number of this process."""
        FORK.Process(target=time.sleep, args=(600,)).start()
        return os.getpid()

    def leave_thread(self) -> None:
        """Leave a non-daemon thread running."""
        threading.Thread(target=time.sleep, args=(600,)).start()

    def leave_executor(self) -> None:
        """Leave an executor whose thread Python joins at exit."""
        self.executor_left = ThreadPoolExecutor(1)
        self.executor_left.submit(time.sleep, 600)

    def leave_process(self) -> None:
        """Leave a child process that multiprocessing joins at exit."""
        FORK.Process(target=time.sleep, args=(600,)).start()

    def leave_exit_handler(self) -> None:
        """Leave a function that does not end, to be called at exit."""
        atexit.register(time.sleep, 600)
