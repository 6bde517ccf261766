"""Serves scikit-learn estimators and pipelines."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import without_pandas  # noqa: F401  before scikit-learn
from sklearn_estimator import blame, choose_method, forget_names, to_payload
from sklearn_file import read
from sklearn_signature import signature_of

from prepackaged import Artifact, Columns, Component, ModelFiles, texts
from prepackaged.estimators import HERE, SKLEARN, set_jobs, try_out
from prepackaged.input_examples import requests_to_try
from prepackaged.parameters import whole_number
from prepackaged.versions import check_policy


class Model(Component):
    """An estimator behind one of its own methods.

    `method` is `predict_proba`, `decision_function`, `predict`, `transform` or
    `score_samples`; unset, it is `predict_proba` where the estimator has it, else `predict`.
    `trusted_types` lists, with commas, the types that a .skops file may hold beyond those
    that skops itself trusts. `version_mismatch` is `warn`, `refuse` or `off`: what to do where
    another minor version of scikit-learn saved the model. `n_jobs` takes the place of what the
    estimator was saved with, 1 unless it is set.
    """

    platform = "sklearn"
    callable_from_any_thread = True
    batchable = True
    files = ModelFiles(
        names=("model.joblib", "model.pkl", "model.pickle", "model.sav", "model.skops"),
        suffixes=(".joblib", ".pkl", ".pickle", ".sav", ".skops"),
        flavor="sklearn",
        flavor_key="pickled_model",
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        method: str | None = None,
        trusted_types: str | None = None,
        version_mismatch: str | None = None,
        n_jobs: str | None = None,
    ) -> None:
        super().__init__(model_uri, model_file)
        self.method = method
        self.policy = check_policy(version_mismatch)
        self.n_jobs = whole_number("n_jobs", n_jobs, default=1)
        self.trusted_types = [
            name.strip() for name in (trusted_types or "").split(",") if name.strip()
        ]
        self.load()  # here for upstream's microservice, whose fork an estimator survives

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the estimator, settle on its method and note the columns it was trained on."""
        assert artifact is not None  # because this class sets `files`
        self.estimator, versions = read(artifact, self.trusted_types)
        self.advice = versions.checked(self.policy, artifact.path)
        set_jobs(self.estimator, self.n_jobs)
        self.method = choose_method(self.estimator, self.method)
        self.signature = signature_of(self.estimator, self.method)
        self.columns = Columns.of(self.signature.inputs)
        self.wants_names = bool(self.columns.names) and not forget_names(self.estimator)
        self.custom = {
            "method": self.method,
            "scikit-learn": HERE[SKLEARN],
            "saved_with": versions.saved.get(SKLEARN, "unknown"),
        }
        trials = requests_to_try(artifact, self.signature)
        try_out(self.estimator, self.method, trials, lambda X: self.rows(X, None), self.advice)

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """The method's answer to rows [n, features], records, or strings for a text pipeline.

        Raises `ClientError` for data that the estimator refuses, `ModelError` for the rest.
        """
        rows = self.rows(X, feature_names)
        try:
            return to_payload(getattr(self.estimator, str(self.method))(rows))
        except Exception as error:
            raise blame(error, rows, self.advice) from error

    def rows(self, X: Any, feature_names: Iterable[str] | None) -> Any:
        """What the estimator takes: a DataFrame if names mean anything to it, an array or texts."""
        if self.wants_names:
            return self.columns.frame(X, feature_names)
        if self.columns.names:
            return self._nameless(self.columns.array(X, feature_names))
        if self.columns.count is None and (documents := texts(X)) is not None:
            return documents
        return self.columns.array(X, feature_names)

    def _nameless(self, table: Any) -> Any:
        """What an estimator makes of the DataFrame that this table would be, or the same to it."""
        if table.dtype == object:  # each column needs a dtype of its own
            return self.columns.frame(table).set_axis(range(table.shape[1]), axis=1)
        return np.asfortranarray(table)  # as in a DataFrame: sums of the same order round alike
