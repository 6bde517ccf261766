"""A Model that answers what it is sent."""

from typing import Any


class Mirror:
    """Answers the payload; a number n in jsonData with a text of n characters."""

    def predict(self, X: Any, names: Any) -> Any:
        return "x" * X if type(X) is int else X
