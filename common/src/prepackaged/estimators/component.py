"""The base class of Models with an estimator, for the images sklearn and xgboost."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from prepackaged.allowed_imports import AllowedImports
from prepackaged.artifacts import Artifact
from prepackaged.component import Component
from prepackaged.estimators.answers import to_payload
from prepackaged.estimators.pickled import HERE, SKLEARN
from prepackaged.estimators.served import ServedEstimator
from prepackaged.estimators.signature import with_example, with_kind_of
from prepackaged.estimators.trial import set_jobs, try_out
from prepackaged.input_examples import requests_to_try
from prepackaged.mlmodel import columns_in
from prepackaged.parameters import chosen, is_true, whole_number
from prepackaged.versions import Versions, check_policy


class Served(Protocol):
    """The object that `prepare` and `predict` delegate to."""

    def prepare(self, X: Any, names: Iterable[str] | None = None) -> Any:
        """Convert the rows of a request for `predict`. Raises `ClientError`."""

    def predict(self, prepared: Any, meta: Mapping[str, Any] | None = None) -> Any:
        """The answer to prepared rows. Raises `ClientError` or `ModelError`."""


class EstimatorComponent(Component):
    """A Model with an estimator.

    A subclass reads the estimator in `load_model` and passes it to `serve`. `method` is
    `predict_proba`, `decision_function`, `predict`, `transform` or `score_samples`; by default
    `predict_proba` if the estimator has it, else `predict`. A request may choose another in
    `meta.tags.method`. `extra_columns` is `ignore` or `refuse`, for unknown columns of a request.
    `class_names` is `true`, or `false` for columns t:0, t:1, ... in answers. `version_mismatch` is
    `warn`, `refuse` or `off`: what to do if another version saved the model. `n_jobs` replaces the
    value that the estimator was saved with; the default is 1. `allowed_imports` lists what a pickle
    may import; by default anything.
    """

    served: Served
    callable_from_any_thread: ClassVar[bool] = True
    batchable = True

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        *,
        method: str | None = None,
        extra_columns: str | None = None,
        class_names: str | None = None,
        version_mismatch: str | None = None,
        n_jobs: str | None = None,
        allowed_imports: str | None = None,
    ) -> None:
        super().__init__(model_uri, model_file)
        self.method = method
        self.allow_extra = chosen("extra_columns", extra_columns, ("ignore", "refuse")) == "ignore"
        self.names_outputs = is_true("class_names", class_names or "true")
        self.policy = check_policy(version_mismatch)
        self.n_jobs = whole_number("n_jobs", n_jobs, default=1)
        self.allowed = AllowedImports.of(allowed_imports)

    def serve(self, estimator: Any, versions: Versions, artifact: Artifact) -> None:
        """Choose the estimator's method, read its columns, and try a copy.

        Raises `DeploymentError` if it cannot answer any request.
        """
        advice = versions.checked(self.policy, artifact.path)
        set_jobs(estimator, self.n_jobs)
        served = self.served = ServedEstimator(
            estimator,
            self.method,
            columns_in(artifact),
            allow_extra=self.allow_extra,
            advice=advice,
        )
        self.method, self.signature = served.method, served.signature
        self.takes_lists = served.inputs.takes_lists
        self.custom = {
            "method": self.method,
            "scikit-learn": HERE[SKLEARN],
            "saved_with": versions.saved.get(SKLEARN, "unknown"),
        }
        trials = requests_to_try(artifact, self.signature)
        tried = try_out(estimator, self.method, trials, served.rows, advice)
        if tried is not None:
            self.signature = with_example(tried.request, self.signature)
        if tried is not None and tried.result is not None:
            self.example_answer = to_payload(tried.result, self.method)
            self.signature = with_kind_of(self.example_answer, self.signature)

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
