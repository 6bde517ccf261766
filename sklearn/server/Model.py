"""Serves scikit-learn estimators and pipelines."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import without_pandas  # noqa: F401  before scikit-learn
from sklearn import __version__ as sklearn_version
from sklearn_estimator import blame, choose_method, forget_names, read, to_payload

from prepackaged import Artifact, Columns, Component, ModelFiles, texts


class Model(Component):
    """An estimator behind one of its own methods.

    `method` is `predict_proba`, `decision_function`, `predict`, `transform` or
    `score_samples`; unset, it is `predict_proba` where the estimator has it, else `predict`.
    `trusted_types` lists, with commas, the types that a .skops file may hold beyond those
    that skops itself trusts.
    """

    platform = "sklearn"
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
    ) -> None:
        super().__init__(model_uri, model_file)
        self.method = method
        self.trusted_types = [
            name.strip() for name in (trusted_types or "").split(",") if name.strip()
        ]
        self.load()  # here for upstream's microservice, whose fork an estimator survives

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the estimator, settle on its method and note the columns it was trained on."""
        assert artifact is not None  # because this class sets `files`
        self.estimator, self.saved_with = read(artifact, self.trusted_types)
        self.method = choose_method(self.estimator, self.method)
        names = getattr(self.estimator, "feature_names_in_", None)
        count = getattr(self.estimator, "n_features_in_", None)
        self.columns = Columns(None if names is None else tuple(names), count)
        self.wants_names = names is not None and not forget_names(self.estimator)

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
            raise blame(error, rows) from error

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

    def describe_model(self) -> dict[str, Any]:
        """Columns, classes, method and versions, as far as the estimator knows them."""
        custom = {
            "method": str(self.method),
            "scikit-learn": sklearn_version,
            "saved_with": self.saved_with,
        }
        return {"inputs": self._inputs(), "outputs": self._outputs(), "custom": custom}

    def _inputs(self) -> list[dict[str, Any]]:
        if self.columns.count is None:
            return []
        names = {"names": list(self.columns.names)} if self.columns.names else {}
        return [{"messagetype": "ndarray", "schema": {**names, "shape": [self.columns.count]}}]

    def _outputs(self) -> list[dict[str, Any]]:
        classes = getattr(self.estimator, "classes_", None)
        if self.method != "predict_proba" or classes is None or isinstance(classes, list):
            return []
        names = [str(name) for name in classes]
        return [{"messagetype": "ndarray", "schema": {"names": names, "shape": [len(names)]}}]
