"""Serves XGBoost boosters and scikit-learn wrappers."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from xgboost import __version__ as xgboost_version
from xgboost_features import Features
from xgboost_file import read
from xgboost_methods import OPENMP, Answers, gpus

from prepackaged import Artifact, Component, DeploymentError, ModelError, ModelFiles, choose_device


class Model(Component):
    """A booster behind one way to ask it.

    `method` is `predict` (the default, as `Booster.predict`), `predict_proba`, `label`,
    `margin`, `leaf` or `contributions`. `device` is `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    platform = "xgboost"
    batchable = True
    files = ModelFiles(
        names=(
            *("model.json", "model.ubj", "model.bst", "model.xgb", "model.deprecated"),
            *("model.joblib", "model.pkl", "model.pickle"),
        ),
        suffixes=(
            *(".json", ".ubj", ".bst", ".xgb", ".deprecated", ".model"),
            *(".joblib", ".pkl", ".pickle"),
        ),
        flavor="xgboost",
        flavor_key="data",
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        method: str | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__(model_uri, model_file)
        self.method = method
        self.device = device
        self.load()  # before the microservice opens its port or forks, which a booster survives

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the booster, settle on method and device, and ask it once."""
        assert artifact is not None  # because this class sets `files`
        device = choose_device(self.device, gpus())
        with OPENMP.limit(limits=1):  # its threads, once started, would not survive a fork
            loaded, self.saved_with = read(artifact)
            self.features = Features(loaded)
            self.answers = Answers(loaded, self.method, device)
            self.output_shape = self._try_out()

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """The method's answer to rows [n, features] or records; null and NaN are missing values.

        Raises `ClientError` for data that the booster cannot take.
        """
        return self.answers(self.features.rows(X, feature_names))

    def describe_model(self) -> dict[str, Any]:
        """Columns, labels, what is answered and by which versions, as far as the file knows."""
        answers = self.answers
        custom = {
            "method": answers.method,
            "objective": answers.objective,
            "booster": answers.kind,
            "device": answers.device,
            "xgboost": xgboost_version,
            "saved_with": self.saved_with or "unknown",
        }
        if answers.best_iteration is not None:
            custom["best_iteration"] = answers.best_iteration
        if labels := self.features.labels():
            custom["categories"] = json.dumps(labels, ensure_ascii=False)
        return {"inputs": [self._input()], "outputs": [self._output()], "custom": custom}

    def _input(self) -> dict[str, Any]:
        columns = self.features.columns
        names = {"names": list(columns.names)} if columns.names else {}
        return {"messagetype": "ndarray", "schema": {**names, "shape": [columns.count]}}

    def _output(self) -> dict[str, Any]:
        names = {"names": found} if (found := self.answers.class_names(self.output_shape)) else {}
        return {"messagetype": "ndarray", "schema": {**names, "shape": self.output_shape}}

    def _try_out(self) -> list[int]:
        """The shape of the answer to a row in which all is missing."""
        row = np.full((1, self.features.columns.count or 0), np.nan)
        try:
            return list(self.answers(row).shape[1:])
        except ModelError as error:
            raise DeploymentError(
                f"this model cannot answer method {self.answers.method}: {error}"
            ) from error
