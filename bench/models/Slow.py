"""A model that keeps its server waiting."""

import time
from collections.abc import Iterable
from typing import Any

SECONDS = 0.02


class Slow:
    """Answers with what it was sent, a fixed time later however many rows it is."""

    batchable = True

    def predict(self, X: Any, names: Iterable[str], meta: dict[str, Any]) -> Any:
        """The rows as they were sent."""
        time.sleep(SECONDS)
        return X
