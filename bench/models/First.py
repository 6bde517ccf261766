"""A model that costs only the transport of a tensor."""

from collections.abc import Iterable
from typing import Any


class First:
    """Answers with the first value of each row."""

    batchable = True
    callable_from_any_thread = True

    def predict(self, X: Any, names: Iterable[str], meta: dict[str, Any]) -> Any:
        """Return one column."""
        return X[:, :1]
