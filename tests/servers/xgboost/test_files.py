"""Which files the server loads, each saved by the program that defines its format."""

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
import sklearn
import xgboost
from serving import Server
from xgboost import Booster, DMatrix, XGBClassifier, XGBRegressor

import uv

Array = np.ndarray[Any, np.dtype[Any]]
Save = Callable[[XGBClassifier, Path], Any]

METHODS = ["predict", "predict_proba", "label", "margin", "leaf", "contributions"]
# The last release of each major version of MLflow, with the packages that it needs.
MLFLOW = {
    "1": ("mlflow-skinny==1.30.1", "setuptools<80"),
    "2": ("mlflow-skinny==2.22.5",),
    "3": ("mlflow-skinny==3.17.2",),
}


def save_model(model: XGBClassifier, path: Path) -> None:
    """Save the wrapper with XGBoost's save_model."""
    model.save_model(path)


def save_booster(model: XGBClassifier, path: Path) -> None:
    """Save the booster without its wrapper with save_model."""
    model.get_booster().save_model(path)


def pickle_model(model: XGBClassifier, path: Path) -> None:
    """Save the wrapper as a plain pickle."""
    path.write_bytes(pickle.dumps(model))


def pickle_booster(model: XGBClassifier, path: Path) -> None:
    """Save the booster without its wrapper as a plain pickle."""
    path.write_bytes(pickle.dumps(model.get_booster()))


SAVERS: dict[str, Save] = {
    "model.json": save_model,
    "model.ubj": save_booster,
    "model.bst": save_model,
    "model.xgb": save_booster,
    "model.deprecated": save_model,
    "model.joblib": joblib.dump,
    "model.pkl": pickle_model,
    "model.pickle": pickle_booster,
    "model.sav": pickle_model,
    "flowers.json": save_booster,
    "flowers.ubj": save_model,
    "xgboost.model": save_booster,
    "flowers-v2.bst": save_booster,
    "flowers-v2.xgb": save_booster,
    "flowers-v2.deprecated": save_booster,
    "compressed.joblib": lambda model, path: joblib.dump(model, path, compress=3),
}
# XGBoost warns if the file name does not reveal the format.
ignore_the_guess = pytest.mark.filterwarnings(
    "ignore:.*Saving model in the UBJSON format:UserWarning",
    "ignore:.*Saving into deprecated binary model format:UserWarning",  # before 3.1
)


@ignore_the_guess
@pytest.mark.parametrize("name", SAVERS)
def test_every_known_name_and_suffix_is_loaded(
    name: str, tmp_path: Path, classifier: XGBClassifier, rows: Array, model_of: Callable[..., Any]
) -> None:
    """The server loads the well-known names, and a single file with a known suffix."""
    SAVERS[name](classifier, tmp_path / name)

    answer = model_of(tmp_path).predict(rows, [])

    assert np.array_equal(answer, classifier.predict_proba(rows))


@pytest.mark.parametrize("method", METHODS)
def test_every_file_type_gives_the_same_answer(
    method: str, tmp_path: Path, classifier: XGBClassifier, rows: Array, model_of: Any
) -> None:
    """A method gives the same answer for every file type, also after early stopping."""
    files = {
        name: SAVERS[name] for name in ("model.json", "model.ubj", "model.pkl", "model.pickle")
    }
    for name, save in files.items():
        save(classifier, tmp_path / name)

    first, *others = (model_of(tmp_path / name, method=method).predict(rows, []) for name in files)

    assert all(np.array_equal(first, other) for other in others)


def test_a_model_that_was_stopped_early_answers_with_its_best_iteration(
    classifier: XGBClassifier, classifier_file: Path, rows: Array, model_of: Callable[..., Any]
) -> None:
    """A model that stopped early uses its best iteration, as the wrapper does, not all trees."""
    booster, best = classifier.get_booster(), classifier.best_iteration
    data = DMatrix(rows)

    answer = model_of(classifier_file).predict(rows, [])

    assert np.array_equal(answer, booster.predict(data, iteration_range=(0, best + 1)))
    assert not np.array_equal(answer, booster.predict(data))


def test_links_into_a_read_only_mount_are_followed(
    tmp_path: Path, classifier: XGBClassifier, rows: Array, model_of: Callable[..., Any]
) -> None:
    """The format is detected from the content, whatever the name of the link's target."""
    mount, models = tmp_path / "mount", tmp_path / "models"
    mount.mkdir()
    models.mkdir()
    classifier.save_model(mount / "m.json")
    (mount / "m.json").rename(mount / "0a1b2c")
    (mount / "0a1b2c").chmod(0o444)
    mount.chmod(0o555)
    (models / "model.ubj").symlink_to(mount / "0a1b2c")

    answer = model_of(models).predict(rows, [])

    assert np.array_equal(answer, classifier.predict_proba(rows))


def test_json_with_line_breaks_is_loaded(
    tmp_path: Path, classifier: XGBClassifier, rows: Array, model_of: Callable[..., Any]
) -> None:
    """JSON that was reformatted with line breaks is loaded."""
    classifier.save_model(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace('{"', '{\n  "').replace(',"', ',\n "'))

    model = model_of(tmp_path)

    assert np.array_equal(model.predict(rows, []), classifier.predict_proba(rows))
    assert model.custom["saved_with"] == xgboost.__version__


def test_the_model_file_parameter_decides(
    tmp_path: Path, classifier: XGBClassifier, rows: Array, model_of: Callable[..., Any]
) -> None:
    """model_file selects a file with any suffix, although another file has a well-known name."""
    XGBRegressor(n_estimators=1).fit([[0.0], [1.0]], [0, 1]).save_model(tmp_path / "model.json")
    classifier.save_model(tmp_path / "other.ubj")
    (tmp_path / "other.ubj").rename(tmp_path / "other")

    answer = model_of(tmp_path, model_file="other").predict(rows, [])

    assert np.array_equal(answer, classifier.predict_proba(rows))


@pytest.mark.parametrize(
    ("major", "what", "name"),
    [("1", "wrapper", "model.xgb"), ("2", "booster", "model.json"), ("3", "wrapper", "model.ubj")],
)
def test_models_of_every_mlflow_are_served(
    major: str, what: str, name: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Models of MLflow 1 to 3 are served; they name the file as `data` in the table `xgboost`."""
    save_with_mlflow(major, tmp_path / "model", what, name)
    with np.load(tmp_path / "model/expected.npz") as saved:
        rows, expected = saved["rows"], saved["probabilities"]

    answer = model_of(tmp_path / "model").predict(rows, [])

    assert answer == pytest.approx(expected, abs=1e-6)
    assert (tmp_path / "model" / name).exists()


def save_with_mlflow(major: str, directory: Path, *arguments: str) -> None:
    """Save a classifier with MLflow, in a separate environment."""
    versions = {"xgboost-cpu": xgboost, "scikit-learn": sklearn, "pandas": pd}
    same = [f"{name}=={module.__version__}" for name, module in versions.items()]
    requirements = [word for each in (*MLFLOW[major], *same) for word in ("--with", each)]
    script = Path(__file__).with_name("mlflow_save.py")
    run = ("run", "--quiet", "--no-project", "--python", "3.11")
    uv.run(*run, *requirements, "python", "-W", "ignore", script, directory, *arguments)


def test_labels_that_the_wrapper_kept_are_answered(
    tmp_path: Path, classifier: XGBClassifier, rows: Array, model_of: Callable[..., Any]
) -> None:
    """Labels that wrappers before XGBoost 1.6 saved in the file are answered."""
    booster = Booster(model_file=save_as(classifier, tmp_path / "saved.ubj"))
    booster.set_attr(scikit_learn='{"classes_": ["blue", "green", "red"]}')
    booster.save_model(tmp_path / "model.json")
    (tmp_path / "saved.ubj").unlink()

    model = model_of(tmp_path, method="label")

    numbers = classifier.predict(rows)
    assert model.predict(rows, []).tolist() == np.array(["blue", "green", "red"])[numbers].tolist()


def save_as(model: XGBClassifier, path: Path) -> Path:
    """Save the wrapper, and return the path."""
    model.save_model(path)
    return path


def test_the_missing_value_of_a_pickled_wrapper_is_its_own(
    tmp_path: Path, rows: Array, classes: Array, model_of: Callable[..., Any]
) -> None:
    """A wrapper with `missing=-999` treats -999, null and NaN as missing."""
    filled = np.nan_to_num(rows, nan=-999.0)
    wrapper = XGBClassifier(n_estimators=5, missing=-999.0).fit(filled, classes)
    joblib.dump(wrapper, tmp_path / "model.joblib")
    model = model_of(tmp_path)

    assert np.array_equal(model.predict(filled, []), wrapper.predict_proba(filled))
    assert np.array_equal(model.predict(rows, []), wrapper.predict_proba(filled))


@pytest.mark.usefixtures("since_3_1")  # before, it is refused
def test_a_model_of_a_newer_xgboost_is_served_with_a_warning(
    tmp_path: Path, classifier: XGBClassifier, model_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names both versions, and the metadata says which one saved the model."""
    classifier.save_model(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    major, _, rest = xgboost.__version__.partition(".")
    (tmp_path / "model.json").write_text(text.replace(f'"version":[{major},', '"version":[99,'))
    newer = f"99.{rest}"

    with caplog.at_level(logging.WARNING):
        model = model_of(tmp_path)

    told = f"saved by xgboost {newer}, and this image has xgboost {xgboost.__version__}"
    assert told in caplog.text
    assert model.init_metadata()["custom"]["saved_with"] == newer


@pytest.mark.parametrize("name", ["model.json", "model.ubj", "model.pkl", "model.pickle"])
def test_the_version_that_saved_a_model_is_known(
    name: str, tmp_path: Path, classifier: XGBClassifier, model_of: Callable[..., Any]
) -> None:
    """The version that saved the model is found at the booster's end, also in a pickle."""
    SAVERS[name](classifier, tmp_path / name)

    assert model_of(tmp_path).custom["saved_with"] == xgboost.__version__


@pytest.mark.usefixtures("since_3_1")
def test_the_metadata_describes_the_model(
    rents: XGBRegressor, rents_file: Path, serve_model: Callable[..., Server]
) -> None:
    """The metadata has columns with labels, outputs and versions."""
    server = serve_model(rents_file, method="contributions")

    metadata = requests.get(server.url + "/metadata", timeout=60).json()

    assert metadata["platform"] == "xgboost"
    assert metadata["inputs"] == [
        {
            "messagetype": "ndarray",
            "schema": {"names": ["city", "district", "area"], "shape": [3]},
        }
    ]
    assert metadata["outputs"] == [{"messagetype": "ndarray", "schema": {"shape": [4]}}]
    assert metadata["custom"] == {
        "method": "contributions",
        "objective": "reg:squarederror",
        "booster": "gbtree",
        "device": "cpu",
        "xgboost": xgboost.__version__,
        "saved_with": xgboost.__version__,
        "categories": '{"city": ["Hualien", "Tainan", "Taipei"], "district": [10, 20, 30]}',
    }


def test_the_metadata_names_the_classes_and_the_best_iteration(
    classifier: XGBClassifier, classifier_file: Path, model_of: Callable[..., Any]
) -> None:
    """The metadata has the classes in the order of probabilities, and the best iteration."""
    metadata = model_of(classifier_file, method="predict_proba").init_metadata()

    assert metadata["inputs"] == [{"messagetype": "ndarray", "schema": {"shape": [4]}}]
    assert metadata["outputs"][0]["schema"] == {"names": ["0", "1", "2"], "shape": [3]}
    assert metadata["custom"]["best_iteration"] == str(classifier.best_iteration)
