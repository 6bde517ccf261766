"""A model whose cost is that of getting a tensor to it."""

from collections.abc import Iterable
from typing import Any


class First:
    """Answers with the first value of each row."""

    batchable = True
    callable_from_any_thread = True

    def predict(self, X: Any, names: Iterable[str], meta: dict[str, Any]) -> Any:
        """One column."""
        return X[:, :1]
