"""Keras 3 files of every kind of model, each compared with a direct call of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from prepackaged import DeploymentError

# Keras saves weights in a way that numpy deprecates; the server only loads.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROWS = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -3.0]], np.float32)


def answered(post: Callable[..., Any], body: Any) -> Any:
    """The values in the answer, in data or jsonData."""
    status, answer = post(body)
    assert status == 200, answer
    return answer["jsonData"] if "jsonData" in answer else answer["data"]["ndarray"]


@pytest.mark.parametrize("name", ["model.keras", "flowers-v2.keras", "model.h5", "flowers.hdf5"])
def test_every_suffix_of_keras_is_loaded(
    name: str, tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A single file with any known suffix is loaded, whatever its name."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh")])
    model.save(tmp_path / name)

    got = answered(post_to(tmp_path), {"data": {"ndarray": ROWS.tolist()}})

    np.testing.assert_allclose(got, model(ROWS), rtol=1e-5)


def test_a_saved_model_takes_precedence_over_keras_files(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A SavedModel precedes Keras files, as PrimeHub documents, unless model_file is set."""
    one, two = (keras.Sequential([keras.Input((1,)), layers.Rescaling(k)]) for k in (2.0, 3.0))
    one.export(tmp_path, verbose=False)
    two.save(tmp_path / "other.keras")
    body = {"data": {"ndarray": [[1.0]]}}

    assert answered(post_to(tmp_path), body) == [[2.0]]
    assert answered(post_to(tmp_path, model_file="other.keras"), body) == [[3.0]]


def test_dropout_and_batch_normalization_are_those_of_inference(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """Dropout and batch normalization run in inference mode, without randomness."""
    model = keras.Sequential(
        [keras.Input((3,)), layers.BatchNormalization(), layers.Dropout(0.9), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    model.fit(np.tile(ROWS, (8, 1)), np.zeros((16, 2)), verbose=0)
    model.save(tmp_path / "model.keras")

    got = answered(post_to(tmp_path), {"data": {"ndarray": ROWS.tolist()}})

    np.testing.assert_allclose(got, model.predict(ROWS, verbose=0), rtol=1e-4)


def test_dictionaries_of_inputs_and_outputs_keep_their_names(
    tmp_path: Path, post_to: Callable[..., Any], load: Callable[..., Any]
) -> None:
    """Inputs and outputs in dicts keep the author's names."""
    inputs = {"b": keras.Input((1,), name="b"), "a": keras.Input((2,), name="a")}
    joined = layers.Concatenate()([inputs["a"], inputs["b"]])
    model = keras.Model(inputs, {"total": layers.Dense(1)(joined), "same": joined})
    model.save(tmp_path / "model.keras")
    values = {"a": [[1.0, 2.0]], "b": [[3.0]]}

    got = answered(post_to(tmp_path), {"jsonData": values})

    expected = model({name: np.array(each) for name, each in values.items()})
    assert got["same"] == [[1.0, 2.0, 3.0]]
    np.testing.assert_allclose(got["total"], expected["total"], rtol=1e-5)
    assert [each["name"] for each in load(tmp_path).init_metadata()["inputs"]] == ["a", "b"]


def test_integers_stay_integers_for_an_embedding(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """An embedding gets integers; fractions and out-of-range indices are refused."""
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(10, 4), layers.LSTM(3)]
    )
    model.save(tmp_path / "model.keras")
    post = post_to(tmp_path)

    got = answered(post, {"data": {"ndarray": [[1, 2, 3, 4, 5]]}})
    np.testing.assert_allclose(got, model(np.array([[1, 2, 3, 4, 5]])), rtol=1e-4)
    assert "1.5 at [0, 1]" in post({"data": {"ndarray": [[1, 1.5]]}})[1]["status"]["info"]
    status, body = post({"data": {"ndarray": [[1, 99]]}})
    assert status == 400
    assert "99 is not in [0, 10)" in body["status"]["info"]


def test_a_convolution_runs_on_images_of_any_size(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A model with free image sizes accepts any size."""
    model = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
    )
    model.save(tmp_path / "model.keras")
    image = np.random.default_rng(0).random((1, 7, 9, 1), np.float32)

    got = answered(post_to(tmp_path), {"data": {"ndarray": image.tolist()}})

    np.testing.assert_allclose(got, model(image), rtol=1e-4)


def test_half_precision_is_answered_in_full(tmp_path: Path, post_to: Callable[..., Any]) -> None:
    """Outputs in bfloat16, which JSON, numpy and protobuf lack, are answered as float32."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype=policy)])
    model.save(tmp_path / "model.keras")

    got = answered(post_to(tmp_path), {"data": {"ndarray": ROWS.tolist()}})

    np.testing.assert_allclose(got, np.asarray(model(ROWS), np.float32), rtol=1e-2)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_lambda_layer_needs_the_operators_word(
    name: str, tmp_path: Path, load: Callable[..., Any], post_to: Callable[..., Any]
) -> None:
    """A Lambda layer is refused with the parameter that allows its Python code."""
    keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x * 2)]).save(tmp_path / name)

    with pytest.raises(DeploymentError, match="set the parameter allow_lambda to true"):
        load(tmp_path)

    got = answered(post_to(tmp_path, allow_lambda="true"), {"data": {"ndarray": ROWS.tolist()}})
    assert got == (ROWS * 2).tolist()


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_missing_custom_objects_are_named(
    name: str, tmp_path: Path, load: Callable[..., Any]
) -> None:
    """The message names missing classes and functions, and a way to save without them."""

    class Wavelet(layers.Layer):
        def call(self, values: Any) -> Any:
            return values

    def squash(values: Any) -> Any:
        return values

    model = keras.Sequential([keras.Input((3,)), Wavelet(), layers.Dense(1, activation=squash)])
    model.save(tmp_path / name)

    with pytest.raises(DeploymentError, match=r"custom objects .*: Wavelet, squash\. .*export"):
        load(tmp_path)


def test_a_registered_class_of_the_image_is_found(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A subclass that a fork registers is served, although it has no named inputs."""

    @keras.saving.register_keras_serializable("of this test")
    class Doubling(keras.Model):
        def call(self, values: Any) -> Any:
            return values * 2

    model = Doubling()
    model(ROWS)
    model.save(tmp_path / "model.keras")

    assert answered(post_to(tmp_path), {"data": {"ndarray": [[1.0, 2.0, 3.0]]}}) == [
        [2.0, 4.0, 6.0]
    ]


def test_the_metadata_describes_the_model(tmp_path: Path, load: Callable[..., Any]) -> None:
    """The metadata has inputs and outputs by layer names, and the version that wrote the file."""
    images = keras.Input((28, 28, 1), name="images")
    model = keras.Model(images, layers.Dense(10, name="digits")(layers.Flatten()(images)))
    model.save(tmp_path / "model.keras")
    (tmp_path / "metadata.yaml").write_text("name: mnist\n")

    metadata = load(tmp_path).init_metadata()

    assert metadata["name"] == "mnist"
    assert metadata["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 28, 28, 1]}]
    assert metadata["outputs"] == [{"name": "digits", "datatype": "FP32", "shape": [-1, 10]}]
    assert metadata["custom"]["saved_with"] == f"Keras {keras.__version__}"
    assert metadata["custom"]["format"] == "Keras"
