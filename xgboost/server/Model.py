"""Serves XGBoost boosters and scikit-learn wrappers."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from xgboost import __version__ as xgboost_version
from xgboost_features import Features
from xgboost_file import XGBOOST, Loaded, prepared, read
from xgboost_methods import OPENMP, Answers, gpus

from prepackaged import (
    Artifact,
    DeploymentError,
    ModelError,
    ModelFiles,
    Table,
    choose_device,
)
from prepackaged.arrays import Array
from prepackaged.estimators.component import EstimatorComponent
from prepackaged.methods import asked_method
from prepackaged.parameters import number
from prepackaged.versions import Versions


class Model(EstimatorComponent):
    """A booster behind one way to ask it, or an estimator with a booster inside.

    Of a booster, `method` is `predict` (the default, as `Booster.predict`), `predict_proba`,
    `label`, `margin`, `leaf` or `contributions`; `missing` is a value that means a missing one,
    besides NaN. `device` is `auto`, `cpu`, `cuda` or `cuda:N`. Those of `EstimatorComponent` are
    taken too.
    """

    platform = "xgboost"
    answers: Answers | None = None
    files = ModelFiles(
        names=(
            *("model.json", "model.ubj", "model.bst", "model.xgb", "model.deprecated"),
            *("model.joblib", "model.pkl", "model.pickle", "model.sav"),
        ),
        suffixes=(
            *(".json", ".ubj", ".bst", ".xgb", ".deprecated", ".model"),
            *(".joblib", ".pkl", ".pickle", ".sav"),
        ),
        flavor="xgboost",
        flavor_key="data",
        other_flavors=(("sklearn", "pickled_model"),),  # of pipelines
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        method: str | None = None,
        device: str | None = None,
        missing: str | None = None,
        version_mismatch: str | None = None,
        n_jobs: str | None = None,
        extra_columns: str | None = None,
        class_names: str | None = None,
    ) -> None:
        super().__init__(
            model_uri,
            model_file,
            method=method,
            extra_columns=extra_columns,
            class_names=class_names,
            version_mismatch=version_mismatch,
            n_jobs=n_jobs,
        )
        self.device = device
        self.missing = number("missing", missing)
        self.load()  # before the microservice opens its port or forks, which a booster survives

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the model, settle on method and device, and ask it once."""
        assert artifact is not None  # because this class sets `files`
        device = choose_device(self.device, gpus())
        with OPENMP.limit(limits=1):  # its threads, once started, would not survive a fork
            model, versions = read(artifact, self.missing)
            if isinstance(model, Loaded):
                self._serve_booster(model, versions, artifact, device)
            else:
                self.serve(prepared(model, device, self.n_jobs, self.missing), versions, artifact)
                self.custom |= {"xgboost": xgboost_version, "device": device}

    def _serve_booster(
        self, loaded: Loaded, versions: Versions, artifact: Artifact, device: str
    ) -> None:
        self.advice = versions.checked(self.policy, artifact.path)
        self.features = Features(loaded, allow_extra=self.allow_extra)
        self.answers = Answers(loaded, self.method, device)
        self.signature = self.answers.signature(self.features.inputs, self._try_out(self.answers))
        self.custom = self._custom(self.answers, versions)

    def prepare(self, X: Any, feature_names: Iterable[str] | None = None) -> Any:
        """A request's rows, cast by the signature. Raises `ClientError`."""
        if self.answers is None:
            return super().prepare(X, feature_names)
        return self.features.prepare(X, feature_names)

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """The method's answer to rows [n, features] or records; null and NaN are missing values.

        Raises `ClientError` for data that the model cannot take, and for a method that it has not.
        """
        if self.answers is None:
            return super().predict(X, feature_names, meta)
        rows = self.prepare(X, feature_names)
        assert self.signature is not None  # since the model is loaded
        method = asked_method(meta, self.signature)
        try:
            return self.answers(rows.array() if isinstance(rows, Table) else rows, method)
        except ModelError as error:
            raise ModelError("; ".join(filter(None, (str(error), self.advice)))) from error

    def _custom(self, answers: Answers, versions: Versions) -> dict[str, str]:
        """What answers, which versions, and the labels of categories, as far as the file knows."""
        custom = {
            "method": answers.method,
            "objective": answers.objective,
            "booster": answers.kind,
            "device": answers.device,
            "xgboost": xgboost_version,
            "saved_with": versions.saved.get(XGBOOST, "unknown"),
        }
        if answers.best_iteration is not None:
            custom["best_iteration"] = answers.best_iteration
        if labels := self.features.labels():
            custom["categories"] = json.dumps(labels, ensure_ascii=False)
        return custom

    def _try_out(self, answers: Answers) -> Array:
        """The answer to a row in which all is missing."""
        row = np.full((1, len(self.features.inputs)), np.nan)
        try:
            return answers(row)
        except ModelError as error:
            why = f"this model cannot answer method {answers.method}: {error}"
            raise DeploymentError("; ".join(filter(None, (why, self.advice)))) from error
