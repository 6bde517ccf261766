"""A Model that tells where it was told to find its files."""

from typing import Any


class Where:
    """Answers with its `model_uri`, once for each row."""

    def __init__(self, model_uri: str = "nowhere") -> None:
        self._model_uri = model_uri

    def predict(self, X: Any, names: Any) -> list[str]:
        return [self._model_uri] * len(X)
