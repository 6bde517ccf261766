"""Serve a booster: convert its inputs, call its methods."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from xgboost import __version__ as xgboost_version
from xgboost_features import Features
from xgboost_file import Loaded
from xgboost_methods import Answers

from prepackaged import DeploymentError, ModelError, Table
from prepackaged.arrays import Array
from prepackaged.methods import asked_method


class ServedBooster:
    """A booster with its methods; `method` is used unless a request chooses another.

    If `allow_extra` is true, unknown columns of a request are ignored, else refused. `advice` is
    added to errors that a version mismatch may have caused. Raises `DeploymentError` if the
    booster lacks the method or cannot predict with it.
    """

    def __init__(
        self, loaded: Loaded, method: str | None, device: str, *, allow_extra: bool, advice: str
    ) -> None:
        self._advice = advice
        self.features = Features(loaded, allow_extra=allow_extra)
        self.answers = Answers(loaded, method, device)
        self.method = self.answers.method
        self.example_answer = self._try_out()
        self.signature = self.answers.signature(self.features.inputs, self.example_answer)

    def prepare(self, X: Any, names: Iterable[str] | None = None) -> Array | Table:
        """Convert the rows of a request for `predict`, see `Features.prepare`.

        Raises `ClientError` for rows that do not fit the booster's columns.
        """
        return self.features.prepare(X, names)

    def predict(self, prepared: Array | Table, meta: Mapping[str, Any] | None = None) -> Array:
        """The result for prepared rows; the request's `meta` may choose the method.

        Raises `ClientError` for a method that the booster lacks, `ModelError` if XGBoost fails.
        """
        method = asked_method(meta, self.signature)
        rows = prepared.array() if isinstance(prepared, Table) else prepared
        try:
            return self.answers(rows, method)
        except ModelError as error:
            raise ModelError(self._advised(str(error))) from error

    def facts(self) -> dict[str, str]:
        """Facts for the metadata: method, objective, booster, device, versions, categories."""
        answers = self.answers
        facts = {
            "method": self.method,
            "objective": answers.objective,
            "booster": answers.kind,
            "device": answers.device,
            "xgboost": xgboost_version,
        }
        if answers.best_iteration is not None:
            facts["best_iteration"] = answers.best_iteration
        if labels := self.features.labels():
            facts["categories"] = json.dumps(labels, ensure_ascii=False)
        return facts

    def _try_out(self) -> Array:
        """The result for one row of missing values. Raises `DeploymentError` if that fails."""
        row = np.full((1, len(self.features.inputs)), np.nan)
        try:
            return self.answers(row)
        except ModelError as error:
            why = f"this model cannot answer method {self.method}: {error}"
            raise DeploymentError(self._advised(why)) from error

    def _advised(self, why: str) -> str:
        return "; ".join(filter(None, (why, self._advice)))
