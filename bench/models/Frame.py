"""A class as users write it for a pipeline on DataFrames."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import joblib
from pandas import DataFrame


class Frame:
    """Passes a request's records to a pipeline as a DataFrame."""

    def __init__(self, model_uri: str) -> None:
        self.pipeline = joblib.load(Path(model_uri) / "model.joblib")

    def predict(self, X: list[dict[str, Any]], names: Iterable[str], meta: dict[str, Any]) -> Any:
        """Return the probability of each class."""
        return self.pipeline.predict_proba(DataFrame(X))
