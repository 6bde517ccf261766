"""Wrong deployments: the server does not start, and the error says how to fix it."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from serving import ROOT, fail_to_serve
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import Booster, XGBClassifier
from xgboost import __version__ as xgboost_version

import images
import uv
from prepackaged import DeploymentError

Array = np.ndarray[Any, np.dtype[Any]]
# The oldest version with an image, which writes the old binary format and the new ones.
TARGETS = images.images()["xgboost"].targets()
NEWEST, *_, OLD = (target.version() for target in TARGETS if not target.is_gpu)


def test_a_wrong_deployment_ends_with_status_1_and_one_last_line(tmp_path: Path) -> None:
    """The server exits with status 1 and a last line for the platform, without a traceback."""
    (tmp_path / "model.onnx").touch()

    failed = fail_to_serve(ROOT / "xgboost/server", model_uri=str(tmp_path))

    assert failed.status == 1
    assert "expected model.json, model.ubj" in failed.last_line
    assert "found model.onnx" in failed.last_line
    assert "Traceback" not in failed.log


def test_no_model_uri_stops_the_start(model_of: Callable[..., Any]) -> None:
    """Without model_uri, the message says what the directory should contain."""
    with pytest.raises(DeploymentError, match=r"no model to serve: .* MLflow xgboost model"):
        model_of("")


def test_two_candidates_stop_the_start(classifier: Any, tmp_path: Path, model_of: Any) -> None:
    """For two possible model files, the message names both and the parameter that chooses."""
    classifier.save_model(tmp_path / "model.json")
    classifier.save_model(tmp_path / "model.ubj")

    with pytest.raises(DeploymentError, match=r"model\.json, model\.ubj\. .* model_file"):
        model_of(tmp_path)


@pytest.fixture(scope="module")
def of_old_xgboost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the oldest XGBoost saves in each of its formats."""
    return saved_by(OLD, tmp_path_factory.mktemp("old"))


def saved_by(version: str, directory: Path) -> Path:
    """Save the model with this XGBoost version in a separate environment; returns the directory."""
    run = ("run", "--quiet", "--no-project", "--python", "3.11")
    script = Path(__file__).with_name("save.py")
    uv.run(*run, "--with", f"xgboost-cpu=={version}", "python", "-W", "ignore", script, directory)
    return directory


@pytest.mark.usefixtures("since_3_1")
def test_the_old_binary_format_is_named_with_the_version_that_converts_it(
    of_old_xgboost: Path, model_of: Callable[..., Any]
) -> None:
    """For the old binary format, the message names the version that converts it."""
    with pytest.raises(
        DeploymentError, match=r"model\.deprecated is in .*old binary .*XGBoost 3.0:.* image with"
    ):
        model_of(of_old_xgboost, model_file="model.deprecated")


@pytest.mark.usefixtures("before_3_1")
def test_the_old_binary_format_is_served_by_an_older_xgboost(
    of_old_xgboost: Path, model_of: Callable[..., Any]
) -> None:
    """The image with the older version serves the old binary format, which lacks the version."""
    with np.load(of_old_xgboost / "expected.npz") as saved:
        rows, expected = saved["rows"], saved["answer"]

    model = model_of(of_old_xgboost, model_file="model.deprecated")

    assert np.array_equal(model.predict(rows, []), expected)
    assert model.custom["saved_with"] == "unknown"


@pytest.mark.parametrize("name", ["model.json", "model.ubj", "model.pkl"])
def test_the_other_formats_of_an_old_xgboost_are_served(
    name: str, of_old_xgboost: Path, model_of: Callable[..., Any]
) -> None:
    """Files of an old version give the same answers as in that version."""
    with np.load(of_old_xgboost / "expected.npz") as saved:
        rows, expected = saved["rows"], saved["answer"]

    model = model_of(of_old_xgboost, model_file=name)

    assert model.predict(rows, []) == pytest.approx(expected, abs=1e-6)
    assert model.custom["saved_with"] == OLD


@pytest.mark.usefixtures("before_3_1")
@pytest.mark.parametrize("name", ["model.json", "model.ubj", "model.pkl"])
def test_a_model_of_a_newer_xgboost_is_refused_by_an_older_one(
    name: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """XGBoost before 3.1 refuses newer files, which it would misread, and names the right image."""
    with pytest.raises(DeploymentError, match=rf"misreads .* saved by xgboost {NEWEST},.* take"):
        model_of(saved_by(NEWEST, tmp_path), model_file=name)


def pickled(model: XGBClassifier, header: bytes) -> bytes:
    """The model's booster, pickled with the header of another version."""
    state = model.get_booster().__getstate__() | {"handle": bytearray(header * 9)}
    return pickle.dumps(Reduced(Booster.__new__, (Booster,), state))


def test_a_pickle_that_is_too_old_is_named_with_the_way_out(
    classifier: XGBClassifier, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A pickle of XGBoost 0.90, with another header, is refused with a solution."""
    (tmp_path / "model.pkl").write_bytes(pickled(classifier, b"\0\0\0?\x04\0"))

    with pytest.raises(DeploymentError, match=r"pickled by XGBoost before 1\.6.*1\.7 reads"):
        model_of(tmp_path)


@pytest.mark.usefixtures("since_3_1")
def test_a_pickle_that_only_older_versions_read_is_named_with_the_way_out(
    classifier: XGBClassifier, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A pickle of XGBoost 1.0 to 1.5, with its own header, is refused with a solution."""
    (tmp_path / "model.pkl").write_bytes(pickled(classifier, b"CONFIG-offset:\x10\0\0\0"))

    with pytest.raises(DeploymentError, match=r"pickled by XGBoost before 1\.6.*1\.7 reads"):
        model_of(tmp_path)


class Reduced:
    """An object that is pickled as a function call and a state."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        """Return the call and the state to pickle."""
        return self.parts


def test_a_pickled_wrapper_with_old_labels_is_named_with_the_way_out(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A wrapper of XGBoost 1.3 to 1.5, with an encoder since removed, is refused with advice."""
    # Protocol 0 by hand: the global `module.name` called with no argument.
    (tmp_path / "model.pkl").write_bytes(b"cxgboost.compat\nXGBoostLabelEncoder\n(tR.")

    with pytest.raises(DeploymentError, match=r"pickled by XGBoost before 1\.6.*1\.7 reads"):
        model_of(tmp_path)


@pytest.mark.parametrize("size", [1, 3, 40, 209, 1875, -300, -1])
@pytest.mark.parametrize("name", ["model.json", "model.ubj", "model.pkl"])
def test_a_truncated_file_stops_the_start(
    name: str, size: int, classifier: XGBClassifier, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A truncated file is refused by name, also where XGBoost would read past its end and crash."""
    path = tmp_path / name
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(classifier))
    else:
        classifier.save_model(path)
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(DeploymentError, match=rf"{name} (cannot be loaded|is incomplete)"):
        model_of(tmp_path)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_dump_is_no_model(
    form: str, classifier: XGBClassifier, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A file of dump_model is refused, and the message names save_model."""
    classifier.get_booster().dump_model(tmp_path / "model.json", dump_format=form)

    with pytest.raises(DeploymentError, match=r"is a dump of the trees.* save_model"):
        model_of(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"a": 1}', b'{"learner": {}}', b"PK\x03\x04", b"\x89PNG", b"hi"],
)
def test_a_file_of_another_kind_stops_the_start(
    content: bytes, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a file of another kind, the message names it, without XGBoost's stack trace."""
    (tmp_path / "model.json").write_bytes(content)

    with pytest.raises(DeploymentError) as caught:
        model_of(tmp_path)

    assert f"{tmp_path}/model.json" in str(caught.value)
    assert "Stack trace" not in str(caught.value)
    assert ".cc:" not in str(caught.value)


def test_a_file_of_a_newer_xgboost_that_cannot_be_read_says_so(
    classifier: XGBClassifier, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For an unreadable file of a newer XGBoost, the message names its version."""
    classifier.save_model(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    major = xgboost_version.partition(".")[0]
    text = text.replace(f'"version":[{major},', '"version":[99,').replace('"objective"', '"target"')
    (tmp_path / "model.json").write_text(text)

    with pytest.raises(DeploymentError, match=r"saved by xgboost 99\..*use an image with that"):
        model_of(tmp_path)


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression()), {"trees": 3}],
    ids=["another estimator", "pipeline", "dict"],
)
def test_a_pickle_of_something_else_stops_the_start(
    model: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a pickle without a booster, the message says what it contains and what is expected."""
    joblib.dump(model, tmp_path / "model.joblib")
    kind = rf"{type(model).__module__}\.{type(model).__name__}"

    with pytest.raises(DeploymentError, match=rf"holds a {kind}: expected an XGBoost Booster, .*"):
        model_of(tmp_path)


def test_a_wrapper_that_was_never_fitted_stops_the_start(tmp_path: Path, model_of: Any) -> None:
    """A wrapper that is not fitted stops the start."""
    joblib.dump(XGBClassifier(), tmp_path / "model.joblib")

    with pytest.raises(DeploymentError, match="not fitted yet"):
        model_of(tmp_path)


def test_an_mlflow_model_of_another_flavor_is_refused(tmp_path: Path, model_of: Any) -> None:
    """For an MLflow model of another flavor, the message names the flavors that it has."""
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function: {}\n  lightgbm: {}\n")

    with pytest.raises(DeploymentError, match=r"'xgboost'.*lightgbm, python_function"):
        model_of(tmp_path)


def test_a_gpu_that_is_missing_stops_the_start(classifier_file: Path, model_of: Any) -> None:
    """A requested GPU that is not available stops the start; the CPU does not replace it."""
    with pytest.raises(DeploymentError, match=r"sees \(cpu\), got 'cuda:7'"):
        model_of(classifier_file, device="cuda:7")
