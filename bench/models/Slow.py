"""A model with a fixed time per call."""

import time
from collections.abc import Iterable
from typing import Any

SECONDS = 0.02


class Slow:
    """Returns its rows after a fixed time, however many there are."""

    batchable = True

    def predict(self, X: Any, names: Iterable[str], meta: dict[str, Any]) -> Any:
        """Return the rows."""
        time.sleep(SECONDS)
        return X
