"""Serves XGBoost boosters and scikit-learn wrappers."""

import prepackaged.estimators.lean  # noqa: F401  before scikit-learn, which xgboost imports

# isort: split
from xgboost import __version__ as xgboost_version
from xgboost_file import XGBOOST, Loaded, prepared, read
from xgboost_methods import OPENMP, gpus
from xgboost_served import ServedBooster

from prepackaged import Artifact, ModelFiles, choose_device
from prepackaged.estimators.component import EstimatorComponent
from prepackaged.parameters import listed, number
from prepackaged.versions import Versions


class Model(EstimatorComponent):
    """A Model with a booster, or with an estimator that contains a booster.

    For a booster, `method` is `predict` (the default, as `Booster.predict`), `predict_proba`,
    `label`, `margin`, `leaf` or `contributions`. `missing` is the number that means a missing
    value, besides NaN. `device` is `auto`, `cpu`, `cuda` or `cuda:N`. `trusted_types` is a
    comma-separated list of the types that a .skops file may contain beyond XGBoost's own and those
    that skops itself trusts. `EstimatorComponent` documents the other parameters.
    """

    platform = "xgboost"
    files = ModelFiles(
        names=(
            *("model.json", "model.ubj", "model.bst", "model.xgb", "model.deprecated"),
            *("model.joblib", "model.pkl", "model.pickle", "model.sav", "model.skops"),
        ),
        suffixes=(
            *(".json", ".ubj", ".bst", ".xgb", ".deprecated", ".model"),
            *(".joblib", ".pkl", ".pickle", ".sav", ".skops"),
        ),
        flavor="xgboost",
        flavor_key="data",
        other_flavors=(("sklearn", "pickled_model"),),  # for pipelines
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
        allowed_imports: str | None = None,
        trusted_types: str | None = None,
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
        self.device = device
        self.missing = number("missing", missing)
        self.trusted_types = listed(trusted_types)
        self.load()  # before the microservice opens its port or forks; a booster survives a fork

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the model, choose its method and device, and make a trial prediction.

        Raises `DeploymentError` if the file cannot be loaded, contains no booster, or if the
        model lacks the method or cannot predict.
        """
        assert artifact is not None  # because this class sets `files`
        device = choose_device(self.device, gpus())
        with OPENMP.limit(limits=1):  # OpenMP threads do not survive a fork
            model, versions = read(artifact, self.allowed, self.missing, self.trusted_types)
            if isinstance(model, Loaded):
                self._serve_booster(model, versions, artifact, device)
            else:
                self.serve(prepared(model, device, self.n_jobs, self.missing), versions, artifact)
                self.custom |= {"xgboost": xgboost_version, "device": device}

    def _serve_booster(
        self, loaded: Loaded, versions: Versions, artifact: Artifact, device: str
    ) -> None:
        served = self.served = ServedBooster(
            loaded,
            self.method,
            device,
            allow_extra=self.allow_extra,
            advice=versions.checked(self.policy, artifact.path),
        )
        self.signature, self.example_answer = served.signature, served.example_answer
        self.custom = {
            **served.facts(),
            "saved_with": versions.saved.get(XGBOOST, "unknown"),
        }
