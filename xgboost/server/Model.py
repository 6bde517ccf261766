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
from prepackaged.arrays import Array


class Model(Component):
    """A booster behind one way to ask it.

    `method` is `predict` (the default, as `Booster.predict`), `predict_proba`, `label`,
    `margin`, `leaf` or `contributions`. `device` is `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    platform = "xgboost"
    callable_from_any_thread = True
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
            self.signature = self.answers.signature(self.features.inputs, self._try_out())
        self.custom = self._custom()

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """The method's answer to rows [n, features] or records; null and NaN are missing values.

        Raises `ClientError` for data that the booster cannot take.
        """
        return self.answers(self.features.rows(X, feature_names))

    def _custom(self) -> dict[str, str]:
        """What answers, which versions, and the labels of categories, as far as the file knows."""
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
        return custom

    def _try_out(self) -> Array:
        """The answer to a row in which all is missing."""
        row = np.full((1, len(self.features.inputs)), np.nan)
        try:
            return self.answers(row)
        except ModelError as error:
            raise DeploymentError(
                f"this model cannot answer method {self.answers.method}: {error}"
            ) from error
