"""A Model of a table with two columns, whose file says how it answers."""

import json
from collections.abc import Iterable
from typing import Any

from prepackaged import Artifact, Column, Columns, Component, ModelFiles, Signature


class Weighted(Component):
    """The weighted sum of each row, less the mean of all sums if the file says `centred`."""

    files = ModelFiles(names=("weights.json",), suffixes=(".json",))

    def __init__(self, model_uri: str | None = None, model_file: str | None = None) -> None:
        super().__init__(model_uri, model_file)
        self.load()

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the weights and what else the file has."""
        assert artifact is not None
        with artifact.reading():
            facts = json.loads(artifact.path.read_text())
            self.weights, self.is_centred = facts["weights"], facts.get("centred", False)
        if "printed" in facts:
            print(facts["printed"])
        self.batchable = facts.get("batchable", True)
        self.signature = Signature((Column("age", "float64"), Column("height", "float64")))
        self.columns = Columns.of(self.signature.inputs)

    def predict(self, X: Any, feature_names: Iterable[str] | None = None, meta: Any = None) -> Any:
        """The sums of rows [n, 2], as [n]."""
        sums = self.columns.array(X, feature_names) @ self.weights
        return sums - sums.mean() if self.is_centred else sums
