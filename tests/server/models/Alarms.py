"""A Model that sets an alarm and returns before it comes, as a time limit does if an error ends it.

The alarm's handler then runs between two requests, on the main thread.
"""

import signal
import sys
from typing import Any, NoReturn

DELAY = 0.05  # seconds


class Alarms:
    """Sets an alarm if the text names a method here, and returns its input."""

    def predict(self, X: Any, names: Any) -> Any:
        if hasattr(self, X):
            signal.signal(signal.SIGALRM, getattr(self, X))
            signal.setitimer(signal.ITIMER_REAL, DELAY)
        return X

    def fail(self, *_: object) -> NoReturn:
        raise TimeoutError("too late")

    def leave(self, *_: object) -> NoReturn:
        sys.exit(0)

    def interrupt(self, *_: object) -> NoReturn:
        raise KeyboardInterrupt
