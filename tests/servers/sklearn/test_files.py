"""Which files the server loads, each saved by the program that defines its format."""

import logging
import pickle
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
import sklearn
import skops.io
from serving import Server
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import uv
from prepackaged import DeploymentError

ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
# The last release of each major version of MLflow, with the packages that it needs.
MLFLOW = {
    "1": ("mlflow-skinny==1.30.1", "setuptools<80"),
    "2": ("mlflow-skinny==2.22.5",),
    "3": ("mlflow-skinny==3.17.2", "skops"),
}


def dump_pickle(model: Any, path: Path) -> None:
    """Save the model as a plain pickle."""
    path.write_bytes(pickle.dumps(model))


SAVERS: dict[str, Callable[[Any, Path], Any]] = {
    "model.joblib": joblib.dump,
    "model.pkl": dump_pickle,
    "model.pickle": dump_pickle,
    "model.sav": dump_pickle,
    "model.skops": skops.io.dump,
    "flowers-v2.joblib": joblib.dump,
    "flowers.pkl": joblib.dump,
    "flowers.pickle": dump_pickle,
    "flowers.skops": skops.io.dump,
    "compressed.joblib": lambda model, path: joblib.dump(model, path, compress=3),
}


@pytest.mark.parametrize("name", SAVERS)
def test_every_known_name_and_suffix_is_loaded(
    name: str, tmp_path: Path, classifier: Any, serve_model: Callable[..., Server]
) -> None:
    """The server loads the well-known names, and a single file with a known suffix."""
    SAVERS[name](classifier, tmp_path / name)

    assert_answers_as(classifier, serve_model(tmp_path))


def assert_answers_as(model: Any, server: Server) -> None:
    """Check that the server's probabilities equal the estimator's."""
    answer = server.post({"data": {"ndarray": ROWS}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["ndarray"] == model.predict_proba(np.array(ROWS)).tolist()


def metadata_of(server: Server) -> Any:
    """The response to GET /metadata."""
    return requests.get(server.url + "/metadata", timeout=60).json()


def test_links_into_a_read_only_mount_are_followed(
    tmp_path: Path, classifier: Any, serve_model: Callable[..., Server]
) -> None:
    """The server follows links to files elsewhere under other names, as PrimeHub creates them."""
    mount = tmp_path / "mount"
    mount.mkdir()
    joblib.dump(classifier, mount / "0a1b2c")
    (mount / "0a1b2c").chmod(0o444)
    mount.chmod(0o555)
    models = tmp_path / "models"
    models.mkdir()
    (models / "model.joblib").symlink_to(mount / "0a1b2c")

    assert_answers_as(classifier, serve_model(models))


def test_the_model_file_parameter_decides(
    tmp_path: Path, classifier: Any, serve_model: Callable[..., Server]
) -> None:
    """The parameter model_file selects a file although another has a well-known name."""
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "model.joblib")
    joblib.dump(classifier, tmp_path / "other.joblib")

    assert_answers_as(classifier, serve_model(tmp_path, model_file="other.joblib"))


def doubled(features: Any) -> Any:
    """A function of this module, which the server does not have."""
    return features * 2


def test_types_in_a_skops_file_are_trusted_by_the_operator_alone(
    tmp_path: Path, iris: Any, serve_model: Callable[..., Server]
) -> None:
    """A .skops file with untrusted types is refused with their names; once listed, it loads."""
    model = make_pipeline(FunctionTransformer(doubled), LogisticRegression(max_iter=500))
    skops.io.dump(model.fit(iris.data, iris.target), tmp_path / "model.skops")
    untrusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")

    with pytest.raises(DeploymentError, match=f"trusted_types to {','.join(untrusted)}"):
        serve_model(tmp_path)

    assert_answers_as(model, serve_model(tmp_path, trusted_types=", ".join(untrusted)))


@pytest.mark.parametrize(
    ("major", "serialization_format"),
    [("1", "cloudpickle"), ("2", "pickle"), ("3", "cloudpickle")],
)
def test_pickled_models_of_every_mlflow_are_served(
    major: str,
    serialization_format: str,
    tmp_path: Path,
    classifier: Any,
    serve_model: Callable[..., Server],
) -> None:
    """Models of MLflow 1, 2 and 3 are served; all have the table `sklearn` in MLmodel."""
    save_with_mlflow(major, tmp_path / "model", serialization_format)

    assert_answers_as(classifier, serve_model(tmp_path / "model"))


def save_with_mlflow(major: str, directory: Path, *arguments: str | Path) -> None:
    """Save the iris classifier with MLflow, in a separate environment."""
    wanted = (*MLFLOW[major], f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}")
    requirements = [word for each in wanted for word in ("--with", each)]
    script = Path(__file__).with_name("mlflow_save.py")
    run = ("run", "--quiet", "--no-project", "--python", "3.11")
    uv.run(*run, *requirements, "python", "-W", "ignore", script, directory, *arguments)


@pytest.fixture(scope="module")
def mlflow_skops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that MLflow 3 saved in its default format, skops."""
    directory = tmp_path_factory.mktemp("mlflow") / "model"
    save_with_mlflow("3", directory)
    return directory


def test_the_skops_model_that_mlflow_3_saves_is_served(
    mlflow_skops: Path, classifier: Any, serve_model: Callable[..., Server]
) -> None:
    """The server loads the skops format, MLflow 3's default."""
    assert (mlflow_skops / "model.skops").exists()

    assert_answers_as(classifier, serve_model(mlflow_skops))


def test_the_types_that_an_mlflow_model_trusts_are_trusted(
    tmp_path: Path, mlflow_skops: Path, iris: Any, serve_model: Callable[..., Server]
) -> None:
    """Types that an MLflow model lists are trusted, since its author could use a pickle instead."""
    shutil.copytree(mlflow_skops, tmp_path / "model")
    model = make_pipeline(FunctionTransformer(doubled), LogisticRegression(max_iter=500))
    skops.io.dump(model.fit(iris.data, iris.target), tmp_path / "model/model.skops")
    mlmodel = tmp_path / "model/MLmodel"
    (untrusted,) = skops.io.get_untrusted_types(file=tmp_path / "model/model.skops")
    claim = mlmodel.read_text().replace(
        "skops_trusted_types: null", f"skops_trusted_types: [{untrusted}]"
    )
    assert untrusted in claim
    mlmodel.write_text(claim)

    assert_answers_as(model, serve_model(tmp_path / "model"))


def test_the_code_that_an_mlflow_model_brings_is_importable(
    tmp_path: Path, iris: Any, serve_model: Callable[..., Server]
) -> None:
    """A transformer of the author's module is loaded from the MLflow model's code directory."""
    module = tmp_path / "doubling_of_this_test.py"
    module.write_text(
        textwrap.dedent("""
            from sklearn.base import BaseEstimator, TransformerMixin

            class Doubling(TransformerMixin, BaseEstimator):
                def fit(self, X, y=None):
                    return self

                def transform(self, X):
                    return X * 2
        """)
    )
    save_with_mlflow("2", tmp_path / "model", "cloudpickle", module)
    module.unlink()

    answer = serve_model(tmp_path / "model").post({"data": {"ndarray": ROWS}})

    expected = LogisticRegression(max_iter=500).fit(iris.data * 2, iris.target)
    assert answer.status_code == 200
    assert answer.json()["data"]["ndarray"] == expected.predict_proba(np.array(ROWS) * 2).tolist()


def test_an_mlflow_model_of_another_flavor_is_refused(
    tmp_path: Path, classifier: Any, serve_model: Callable[..., Server]
) -> None:
    """For an MLflow model of another flavor, the message names the flavors that it has."""
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function: {}\n  xgboost: {}\n")
    joblib.dump(classifier, tmp_path / "model.joblib")

    with pytest.raises(DeploymentError, match=r"'sklearn'.*python_function, xgboost"):
        serve_model(tmp_path)


def test_a_model_of_another_scikit_learn_is_served_with_a_warning(
    tmp_path: Path,
    classifier: Any,
    serve_model: Callable[..., Server],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names both versions, and the metadata says which one saved the model."""
    state = pickle.dumps(classifier)
    version = sklearn.__version__.encode()
    assert state.count(version) == 1
    (tmp_path / "model.pkl").write_bytes(state.replace(version, b"1.0.2"))

    with caplog.at_level(logging.WARNING):
        server = serve_model(tmp_path)

    assert_answers_as(classifier, server)
    told = f"saved by scikit-learn 1.0.2, and this image has scikit-learn {sklearn.__version__}"
    assert told in caplog.text
    assert metadata_of(server)["custom"]["saved_with"] == "1.0.2"


def test_the_metadata_describes_the_model(
    tmp_path: Path, iris: Any, serve_model: Callable[..., Server]
) -> None:
    """The metadata has the model's columns and classes, overridden by metadata.yaml."""
    frame = pd.DataFrame(iris.data, columns=["sl", "sw", "pl", "pw"])
    model = LogisticRegression(max_iter=500).fit(frame, iris.target_names[iris.target])
    joblib.dump(model, tmp_path / "model.joblib")
    (tmp_path / "metadata.yaml").write_text("name: flowers\ncustom: {owner: botany}\n")

    metadata = metadata_of(serve_model(tmp_path))

    assert metadata["name"] == "flowers"
    assert metadata["platform"] == "sklearn"
    assert metadata["inputs"] == [
        {"messagetype": "ndarray", "schema": {"names": ["sl", "sw", "pl", "pw"], "shape": [4]}}
    ]
    species = ["setosa", "versicolor", "virginica"]
    assert metadata["outputs"] == [
        {"messagetype": "ndarray", "schema": {"names": species, "shape": [3]}}
    ]
    assert metadata["custom"] == {
        "owner": "botany",
        "method": "predict_proba",
        "scikit-learn": sklearn.__version__,
        "saved_with": sklearn.__version__,
    }
