"""The smallest model server: fork it, then load and call your framework in `Model`."""

import logging
from collections.abc import Iterable
from typing import Any

from prepackaged import Component, local_path

logger = logging.getLogger(__name__)


class Model(Component):
    """Answers every request with `Hello Model`, with or without a model."""

    platform = "skeleton"

    def __init__(self, model_uri: str | None = None) -> None:
        super().__init__(model_uri)
        self.load()

    def load(self) -> None:
        """Load the model once; the microservice calls this again after the constructor.

        Raises `DeploymentError` if `model_uri` does not exist.
        """
        if self.ready:
            return
        if self.model_uri:
            logger.info("Here your framework would load %s", local_path(self.model_uri))
        self.ready = True

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> str:
        """Return the prediction for one request.

        `X` is an array (`data`), str (`strData`), bytes (`binData`) or JSON value (`jsonData`).
        The type of the result selects the response field: an array or list becomes `data`, a str
        `strData`, bytes `binData` and a dict `jsonData`.
        """
        return "Hello Model"
