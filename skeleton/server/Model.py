"""The smallest model server: fork it, and put your framework where it says so."""

import logging
from collections.abc import Iterable
from typing import Any

from prepackaged import Component, local_path

logger = logging.getLogger(__name__)


class Model(Component):
    """Answers `Hello Model` to everything, with or without a model."""

    platform = "skeleton"

    def __init__(self, model_uri: str | None = None) -> None:
        super().__init__(model_uri)
        self.load()

    def load(self) -> None:
        """Load the model unless it is loaded already: the microservice calls this again."""
        if self.ready:
            return
        if self.model_uri:
            logger.info("Here your framework would load %s", local_path(self.model_uri))
        self.ready = True

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> str:
        """Answer one request.

        `X` is an array (`data`), str (`strData`), bytes (`binData`) or JSON value (`jsonData`).
        An array or list is answered as `data`, a str as `strData`, bytes as `binData` and a
        dict as `jsonData`.
        """
        return "Hello Model"
