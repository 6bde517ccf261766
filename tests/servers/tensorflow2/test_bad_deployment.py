"""Wrong deployments: the start stops, and its last log line says how to fix it."""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest
import tensorflow as tf
import tf_keras
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, fail_to_serve

from prepackaged import DeploymentError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def model() -> Any:
    """A Keras 3 model."""
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


@pytest.mark.parametrize("program", [OURS, UPSTREAM])
def test_a_server_without_a_model_ends_with_one_line(program: str) -> None:
    """Without a model, the server exits with status 1, no traceback, and the parameter to set."""
    failed = fail_to_serve(ROOT / "tensorflow2/server", program=PROGRAMS / program)

    assert failed.status == 1
    assert "no model to serve: mount a directory with saved_model.pb" in failed.last_line
    assert "Traceback" not in failed.log


def test_a_server_on_a_damaged_file_ends_with_one_line(tmp_path: Path) -> None:
    """For a damaged file, the server exits with status 1, and TensorFlow logs nothing after."""
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf at all")

    failed = fail_to_serve(ROOT / "tensorflow2/server", model_uri=str(tmp_path))

    assert failed.status == 1
    assert "saved_model.pb cannot be loaded, it is damaged or of another kind" in failed.last_line
    assert "Traceback" not in failed.log


def assert_stops(load: Callable[..., Any], place: Path, *words: str, **parameters: str) -> None:
    """Check that loading fails with a message that contains these words."""
    with pytest.raises(DeploymentError) as caught:
        load(place, **parameters)
    for word in words:
        assert word in str(caught.value)


def test_a_directory_without_a_model_is_reported(tmp_path: Path, load: Callable[..., Any]) -> None:
    """The line lists expected and existing files; a file of weights alone is not a model."""
    (tmp_path / "frozen_graph.pb").touch()

    assert_stops(load, tmp_path, "expected saved_model.pb", "one *.keras", "found frozen_graph.pb")


def test_two_candidates_are_reported(tmp_path: Path, load: Callable[..., Any]) -> None:
    """For two possible model files, the line names both and the parameter that chooses."""
    model().save(tmp_path / "one.keras")
    model().save(tmp_path / "two.h5")

    assert_stops(load, tmp_path, "one.keras, two.h5", "model_file")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[: len(content) // 2], "cannot be loaded"),
        (lambda _: b"\x89PNG and so on", "neither a .keras archive nor HDF5"),
        (lambda _: b"", "is empty (0 bytes)"),
    ],
    ids=["truncated", "of another kind", "empty"],
)
def test_a_damaged_keras_file_is_reported(
    name: str,
    damage: Callable[[bytes], bytes],
    words: str,
    tmp_path: Path,
    load: Callable[..., Any],
) -> None:
    """For a damaged Keras file, the line names the file."""
    model().save(tmp_path / name)
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))

    assert_stops(load, tmp_path, name, words)


def test_a_saved_model_without_its_variables_is_reported(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """A SavedModel without its variables, as after an incomplete copy, is refused."""
    model().export(tmp_path, verbose=False)
    (tmp_path / "variables/variables.index").unlink()

    assert_stops(load, tmp_path, "cannot be loaded", "variables")


def test_weights_without_a_model_are_reported(tmp_path: Path, load: Callable[..., Any]) -> None:
    """For weights without a model, the line says how to save the whole model."""
    model().save_weights(tmp_path / "model.weights.h5")

    assert_stops(load, tmp_path, "weights without a model", "model.save(")


def test_an_archive_of_something_else_is_reported(tmp_path: Path, load: Callable[..., Any]) -> None:
    """A zip file without a Keras model is refused."""
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("model.txt", "mine")

    assert_stops(load, tmp_path, "model.keras cannot be loaded", "metadata.json")


def test_a_file_of_a_later_keras_is_reported(tmp_path: Path, load: Callable[..., Any]) -> None:
    """For an unreadable file of a newer Keras, the line has both versions."""
    model().save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file.attrs["keras_version"] = "4.1.0"
        config = file.attrs["model_config"].replace('"units": 2', '"units": 2, "novelty": 1')
        file.attrs["model_config"] = config

    assert_stops(
        load, tmp_path, "written by Keras 4.1.0", f"cannot be loaded by keras {keras.__version__}"
    )


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_lambda_layer_of_keras_2_needs_the_operators_word(
    name: str, tmp_path: Path, load: Callable[..., Any]
) -> None:
    """A Lambda layer of Keras 2 needs allow_lambda, although Keras 2 would run its code."""
    layer = tf_keras.layers.Lambda(lambda x: x * 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* HDF5 file", UserWarning)
        tf_keras.Sequential([tf_keras.layers.Input((3,)), layer]).save(tmp_path / name)

    assert_stops(load, tmp_path, "Lambda layer", "allow_lambda")

    allowed = load(tmp_path, allow_lambda="true")
    assert allowed.predict([[1.0, 2.0, 3.0]]).tolist() == [[2.0, 4.0, 6.0]]


@pytest.mark.parametrize("place", ["output_shape", "mask"])
def test_code_in_any_place_of_a_layer_of_keras_2_is_found(
    place: str, tmp_path: Path, load: Callable[..., Any]
) -> None:
    """Bytecode is found in each of the functions of a Lambda layer."""
    layer = tf_keras.layers.Lambda(tf_keras.activations.relu)
    with pytest.warns(UserWarning, match="HDF5"):
        tf_keras.Sequential([tf_keras.layers.Input((3,)), layer]).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        config = file.attrs["model_config"]
        code = f'"{place}": ["4wEAAAA=", null, null], "{place}_type": "lambda", "function_type"'
        file.attrs["model_config"] = config.replace('"function_type"', code)

    assert_stops(load, tmp_path, "Lambda layer", "allow_lambda")


def test_a_custom_layer_of_an_early_file_is_named(tmp_path: Path, load: Callable[..., Any]) -> None:
    """The message names a custom layer in a file of Keras before 2.13, which does not mark it."""

    class Wavelet(tf_keras.layers.Layer):
        def call(self, values: Any) -> Any:
            return values

    with pytest.warns(UserWarning, match="HDF5"):
        tf_keras.Sequential([tf_keras.layers.Input((3,)), Wavelet()]).save(tmp_path / "model.h5")

    assert_stops(load, tmp_path, "custom objects that it does not contain: Wavelet.")


def test_a_missing_operation_is_named(tmp_path: Path, load: Callable[..., Any]) -> None:
    """The message names an operation that the image lacks, such as those of tensorflow_text."""
    module = tf.Module()
    module.function = tf.function(
        tf.strings.upper, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path))
    graph = (tmp_path / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(graph.replace(b"StringUpper", b"StringUbber"))

    assert_stops(load, tmp_path, "needs the operation StringUbber", "fork this image")


def test_an_mlflow_model_of_another_flavor_is_reported(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """For an MLflow model of another flavor, the line names the flavors that it has."""
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function: {}\n  sklearn: {}\n")

    assert_stops(load, tmp_path, "'keras or tensorflow'", "python_function, sklearn")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"allow_lambda": "maybe"}, "allow_lambda to be true or false, got 'maybe'"),
        ({"device": "tpu"}, "device to be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ({"device": "cuda:9"}, "sees (cpu), got 'cuda:9'"),
        ({"image_layout": "CHWN"}, "image_layout"),
    ],
)
def test_an_invalid_parameter_is_reported(
    parameters: dict[str, str], words: str, tmp_path: Path, load: Callable[..., Any]
) -> None:
    """A wrong parameter, or a GPU that is not available, stops the start."""
    model().save(tmp_path / "model.keras")

    assert_stops(load, tmp_path, words, **parameters)


def test_a_subclass_without_inputs_is_reported(tmp_path: Path, load: Callable[..., Any]) -> None:
    """A subclass of two inputs, whose file lacks their names and shapes, is refused."""

    @keras.saving.register_keras_serializable("of this test too")
    class Adding(keras.Model):
        def call(self, pair: Any) -> Any:
            return pair[0] + pair[1]

    adding = Adding()
    adding([tf.zeros((1, 3)), tf.zeros((1, 3))])
    adding.save(tmp_path / "model.keras")

    assert_stops(load, tmp_path, "Adding does not describe its inputs", "model.export(")
