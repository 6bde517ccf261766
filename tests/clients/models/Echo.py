"""A Model for client tests that returns its input."""

from typing import Any


class Echo:
    """Returns arrays and texts unchanged."""

    batchable = True

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        return X
