"""A Model that returns its input."""

from typing import Any


class Mirror:
    """Returns its input; for a number n, a text of n characters."""

    def predict(self, X: Any, names: Any) -> Any:
        return "x" * X if type(X) is int else X
