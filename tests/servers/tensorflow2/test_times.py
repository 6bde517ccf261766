"""Models saved by TensorFlow, Keras and MLflow versions of several years."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import ROOT, serve

import uv

# MLflow's major releases, each with a TensorFlow version of its time. The first two use Keras 2.
TIMES = {
    "mlflow-1": ("mlflow-skinny==1.30.1", "tensorflow-cpu==2.12.1", "pandas<2", "setuptools<80"),
    "mlflow-2": ("mlflow-skinny==2.22.5", "tensorflow-cpu==2.15.1", "pandas<3"),
    "mlflow-3": ("mlflow-skinny==3.17.2", "tensorflow-cpu==2.21.0", "keras==3.15.1", "pandas"),
}
TENSORFLOW = {"mlflow-1": "2.12.1", "mlflow-2": "2.15.1", "mlflow-3": "2.21.0"}
KERAS = {"mlflow-1": "2.12.0", "mlflow-2": "2.15.0", "mlflow-3": "3.15.1"}
DIGITS = ["digits", "digits.h5", "digits.keras", "mlflow-digits", "mlflow-digits-h5"]
SERVER = ROOT / "tensorflow2/server"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models that keras_save.py saves, a directory for each set of versions."""
    directory = tmp_path_factory.mktemp("times")
    with ThreadPoolExecutor() as pool:
        for saved in [pool.submit(save, time, directory / time) for time in TIMES]:
            saved.result()
    return directory


def save(time: str, directory: Path) -> None:
    """Save the models with these versions, in a separate environment."""
    requirements = [word for each in TIMES[time] for word in ("--with", each)]
    script = Path(__file__).with_name("keras_save.py")
    run = ("run", "--quiet", "--no-project", "--python", "3.11")
    # -E ignores environment variables that turn bytecode off, so the next run can reuse it.
    uv.run(*run, *requirements, "python", "-E", "-W", "ignore", script, directory)


def answers(directory: Path, name: str) -> tuple[list[Any], list[Any]]:
    """The inputs of a model, and its outputs where it was saved."""
    kept = np.load(directory / "answers.npz")
    return tuple(
        [kept[key] for key in kept if key.startswith(f"{name}_{kind}_")] for kind in ("in", "out")
    )


def assert_same(got: Any, expected: Any) -> None:
    """Check equality except for rounding, since releases may add up in another order."""
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("time", TIMES)
def test_a_model_of_its_time_answers_as_it_did(
    time: str, name: str, models: Path, post_to: Callable[..., Any]
) -> None:
    """SavedModel, HDF5 and .keras, also in MLflow's layouts, answer ndarray and tensor as saved."""
    (images,), (expected,) = answers(models / time, "digits")
    post = post_to(models / time / name)

    status, body = post({"data": {"ndarray": images.tolist()}})
    assert status == 200, body
    assert_same(body["data"]["ndarray"], expected)

    tensor = {"shape": list(images.shape), "values": images.ravel().tolist()}
    status, body = post({"data": {"tensor": tensor}})
    assert status == 200, body
    assert body["data"]["tensor"]["shape"] == [3, 10]
    assert_same(body["data"]["tensor"]["values"], expected.ravel())


@pytest.mark.parametrize("name", ["flowers", "flowers.h5", "flowers.keras"])
@pytest.mark.parametrize("time", TIMES)
def test_inputs_and_outputs_have_names(
    time: str, name: str, models: Path, post_to: Callable[..., Any]
) -> None:
    """Two inputs and two outputs go by name, also with operations between layers."""
    (measures, place), (species, height) = answers(models / time, "flowers")
    request = {"place": place.tolist(), "measures": measures.tolist()}

    status, body = post_to(models / time / name)({"jsonData": request})

    assert status == 200, body
    by_width = {np.shape(each)[1]: each for each in body["jsonData"].values()}
    assert_same(by_width[3], species)
    assert_same(by_width[1], height)


@pytest.mark.parametrize("name", ["scale", "mlflow-scale"])
@pytest.mark.parametrize("time", TIMES)
def test_a_plain_module_is_served(
    time: str, name: str, models: Path, post_to: Callable[..., Any]
) -> None:
    """A tf.Module without Keras is served, also in MLflow's layouts `tfmodel` and `tf2model`."""
    (values,), (expected,) = answers(models / time, "scale")

    status, body = post_to(models / time / name)({"data": {"ndarray": values.tolist()}})

    assert status == 200, body
    assert_same(body["data"]["ndarray"], expected)


@pytest.mark.parametrize("time", TIMES)
def test_the_metadata_tells_what_saved_the_model(
    time: str, models: Path, load: Callable[..., Any]
) -> None:
    """The metadata has the TensorFlow version of a SavedModel, and Keras's of a Keras file."""

    def saved_with(name: str) -> Any:
        return load(models / time / name).init_metadata()["custom"]["saved_with"]

    assert saved_with("digits") == f"TensorFlow {TENSORFLOW[time]}"
    assert saved_with("digits.h5") == f"Keras {KERAS[time]}"
    assert saved_with("digits.keras") == f"Keras {KERAS[time]}"


@pytest.mark.parametrize("time", ["mlflow-2", "mlflow-3"])
def test_layers_of_the_authors_own_come_along_with_mlflow(time: str, models: Path) -> None:
    """An author's layers are found: pickled as custom objects, or in MLflow's code directory."""
    (values,), (expected,) = answers(models / time, "own")

    with serve(SERVER, model_uri=str(models / time / "mlflow-own")) as server:
        body = server.post({"data": {"ndarray": values.tolist()}}).json()

    assert_same(body["data"]["ndarray"], expected)


def test_the_flavor_keras_of_mlflow_3_is_served(models: Path, post_to: Callable[..., Any]) -> None:
    """MLflow 3's flavor for Keras 3 is served."""
    (images,), (expected,) = answers(models / "mlflow-3", "digits")
    post = post_to(models / "mlflow-3/mlflow-keras")

    status, body = post({"data": {"ndarray": images.tolist()}})

    assert status == 200, body
    assert_same(body["data"]["ndarray"], expected)
