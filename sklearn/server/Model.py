"""Serves scikit-learn estimators and pipelines."""

from collections.abc import Iterable
from typing import Any

import without_pandas  # noqa: F401  before scikit-learn
from sklearn import __version__ as sklearn_version
from sklearn_estimator import read

from prepackaged import Artifact, Component, ModelFiles
from prepackaged.estimators.served import ServedEstimator
from prepackaged.mlmodel import columns_in
from prepackaged.parameters import chosen


class Model(Component):
    """An estimator behind one of its own methods.

    `method` is `predict_proba`, `decision_function`, `predict`, `transform` or
    `score_samples`; unset, it is `predict_proba` where the estimator has it, else `predict`.
    A request may ask for another in `meta.tags.method`.
    `extra_columns` is `ignore` (the default) or `refuse`: columns that the model does not know.
    `trusted_types` lists, with commas, the types that a .skops file may hold beyond those
    that skops itself trusts.
    """

    platform = "sklearn"
    callable_from_any_thread = True
    batchable = True
    files = ModelFiles(
        names=("model.joblib", "model.pkl", "model.pickle", "model.skops"),
        suffixes=(".joblib", ".pkl", ".pickle", ".skops"),
        flavor="sklearn",
        flavor_key="pickled_model",
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        method: str | None = None,
        trusted_types: str | None = None,
        extra_columns: str | None = None,
    ) -> None:
        super().__init__(model_uri, model_file)
        self.method = method
        self.allow_extra = chosen("extra_columns", extra_columns, ("ignore", "refuse")) == "ignore"
        self.trusted_types = [
            name.strip() for name in (trusted_types or "").split(",") if name.strip()
        ]
        self.load()  # here for upstream's microservice, whose fork an estimator survives

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the estimator, settle on its method and note the columns it was trained on."""
        assert artifact is not None  # because this class sets `files`
        estimator, saved_with = read(artifact, self.trusted_types)
        self.served = ServedEstimator(
            estimator, self.method, columns_in(artifact), allow_extra=self.allow_extra
        )
        self.method, self.signature = self.served.method, self.served.signature
        self.takes_lists = self.served.inputs.takes_lists
        self.custom = {
            "method": self.method,
            "scikit-learn": sklearn_version,
            "saved_with": saved_with,
        }

    def prepare(self, X: Any, feature_names: Iterable[str] | None = None) -> Any:
        """A request's rows, cast by the signature. Raises `ClientError`."""
        return self.served.prepare(X, feature_names)

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """The method's answer to rows [n, features], records, or strings for a text pipeline.

        Raises `ClientError` for data that the estimator refuses, `ModelError` for the rest.
        """
        return self.served.predict(self.served.prepare(X, feature_names), meta)
