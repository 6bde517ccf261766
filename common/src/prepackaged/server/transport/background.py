"""Threads that parse and serialise large messages, so that the event loop is not blocked.

Most of this work holds the interpreter lock, so more threads would not make it faster. With two, a
small message can overtake a large one.
"""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

LARGE = 100_000  # bytes of a message that is read on another thread; smaller ones take less time
# than the way there and back

BACKGROUND = ThreadPoolExecutor(2, thread_name_prefix="messages")  # they start when needed


class CollectorPause:
    """Turns the garbage collector off while a thread is in the block.

    JSON creates no reference cycles, but the collector counts each list in it and examines all
    lists repeatedly: for five million lists that takes 3.5 of 4.5 s, during which other threads
    wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._was_on = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._was_on and not self._inside:
                gc.enable()


UNCOLLECTED = CollectorPause()
