"""A server of one estimator, whichever image reads its file."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from prepackaged.artifacts import Artifact
from prepackaged.component import Component
from prepackaged.estimators.methods import blame, choose_method, forget_names, to_payload
from prepackaged.estimators.pickled import HERE, SKLEARN
from prepackaged.estimators.signature import signature_of
from prepackaged.estimators.trial import set_jobs, try_out
from prepackaged.input_examples import requests_to_try
from prepackaged.parameters import whole_number
from prepackaged.tables import Columns, texts
from prepackaged.versions import Versions, check_policy


class EstimatorComponent(Component):
    """An estimator behind one of its own methods.

    A subclass reads it in `load_model` and hands it to `serve`. `method` is `predict_proba`,
    `decision_function`, `predict`, `transform` or `score_samples`; unset, it is `predict_proba`
    where the estimator has it, else `predict`. `version_mismatch` is `warn`, `refuse` or `off`:
    what to do where another version saved the model. `n_jobs` takes the place of what the
    estimator was saved with, 1 unless it is set.
    """

    callable_from_any_thread: ClassVar[bool] = True
    batchable = True

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        method: str | None = None,
        version_mismatch: str | None = None,
        n_jobs: str | None = None,
    ) -> None:
        super().__init__(model_uri, model_file)
        self.method = method
        self.policy = check_policy(version_mismatch)
        self.n_jobs = whole_number("n_jobs", n_jobs, default=1)

    def serve(self, estimator: Any, versions: Versions, artifact: Artifact) -> None:
        """Settle on the estimator's method, note its columns, and try a copy of it out.

        Raises `DeploymentError` where it can answer no request.
        """
        self.estimator = estimator
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
        self,
        X: Any,
        feature_names: Iterable[str] | None = None,
        meta: dict[str, Any] | None = None,  # noqa: ARG002  the signature is Seldon's
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
