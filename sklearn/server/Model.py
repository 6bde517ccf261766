"""Serves scikit-learn estimators and pipelines."""

import prepackaged.estimators.lean  # noqa: F401  before scikit-learn

# isort: split
from sklearn_file import read

from prepackaged import Artifact, ModelFiles
from prepackaged.estimators.component import EstimatorComponent
from prepackaged.parameters import listed


class Model(EstimatorComponent):
    """A Model that reads a scikit-learn estimator from a file and answers with one of its methods.

    `trusted_types` is a comma-separated list of the types that a .skops file may contain beyond
    those that skops itself trusts. `EstimatorComponent` documents the other parameters.
    """

    platform = "sklearn"
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
        extra_columns: str | None = None,
        class_names: str | None = None,
        allowed_imports: str | None = None,
    ) -> None:
        super().__init__(
            model_uri,
            model_file,
            method=method,
            extra_columns=extra_columns,
            class_names=class_names,
            version_mismatch=version_mismatch,
            n_jobs=n_jobs,
            allowed_imports=allowed_imports,
        )
        self.trusted_types = listed(trusted_types)
        self.load()  # before upstream's microservice forks, which an estimator survives

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the estimator from the file and serve it.

        Raises `DeploymentError` if the file cannot be loaded or contains no usable estimator.
        """
        assert artifact is not None  # because this class sets `files`
        self.serve(*read(artifact, self.trusted_types, self.allowed), artifact)
