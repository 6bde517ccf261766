"""Save models in every format of a TensorFlow and MLflow version; run this in their environment.

python keras_save.py DIRECTORY

Beside the models, `answers.npz` has inputs and the model's own outputs for each of them.
"""

import sys
from pathlib import Path
from typing import Any

import author_layers
import mlflow
import numpy as np
import tensorflow as tf
from mlflow import tensorflow as mlflow_tensorflow
from tensorflow import keras

IS_KERAS_3 = tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 16)
IS_MLFLOW_1 = mlflow.__version__.startswith("1.")
OPTIONS = {"pip_requirements": ["tensorflow"]}
H5 = {"keras_model_kwargs": {"save_format": "h5"}}


class Scale(tf.Module):
    """A module without Keras."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="values")])
    def __call__(self, values: Any) -> Any:
        """Multiply the values by three."""
        return self.factor * values


class Twice(keras.layers.Layer):
    """An author's layer, defined in the author's program."""

    def call(self, values: Any) -> Any:
        """Multiply the values by two."""
        return values * 2


def digits() -> Any:
    """A model from images of 28 x 28 to ten probabilities, as in every tutorial."""
    inner = [keras.layers.Flatten(), keras.layers.Dense(16, activation="relu")]
    outer = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.layers.Input((28, 28)), *inner, outer])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(np.zeros((1, 28, 28)), np.zeros(1), verbose=0)
    return model


def flowers() -> Any:
    """A model of two inputs and outputs; in Keras 2 with operations that are not layers."""
    measures, place = keras.Input((4,), name="measures"), keras.Input((2,), name="place")
    # Keras 3 cannot read such operations from HDF5, not even its own.
    log = keras.layers.ReLU()(measures) if IS_KERAS_3 else tf.math.log(measures + 2.0)
    joined = keras.layers.Concatenate()([log, place])
    species = keras.layers.Dense(3, name="species")(joined)
    return keras.Model([measures, place], [species, keras.layers.Dense(1, name="height")(joined)])


def own() -> Any:
    """A model of two layers that are not part of Keras."""
    return keras.Sequential([keras.layers.Input((2,)), Twice(), author_layers.Halving()])


def save_keras(model: Any, path: Path) -> None:
    """Save the model as HDF5, as .keras and as a SavedModel."""
    model.save(f"{path}.h5")
    model.save(f"{path}.keras")
    if IS_KERAS_3:
        model.export(str(path))
    else:
        model.save(str(path))


def save_in_mlflow_1(model: Any, root: Path) -> None:
    """Save with MLflow 1: flavor keras, and flavor tensorflow for an existing SavedModel."""
    from mlflow import keras as mlflow_keras

    mlflow_keras.save_model(model, root / "mlflow-digits", **OPTIONS)
    mlflow_keras.save_model(model, root / "mlflow-digits-h5", save_format="h5", **OPTIONS)
    mlflow_tensorflow.save_model(
        tf_saved_model_dir=str(root / "scale"),
        tf_meta_graph_tags=["serve"],
        tf_signature_def_key="serving_default",
        path=root / "mlflow-scale",
        **OPTIONS,
    )


def save_in_mlflow(model: Any, scale: Any, custom: Any, root: Path) -> None:
    """Save with MLflow 2 or 3: flavor tensorflow, and flavor keras for Keras 3."""
    mlflow_tensorflow.save_model(model, str(root / "mlflow-digits"), **OPTIONS)
    mlflow_tensorflow.save_model(model, str(root / "mlflow-digits-h5"), **H5, **OPTIONS)
    mlflow_tensorflow.save_model(scale, str(root / "mlflow-scale"), **OPTIONS)
    mlflow_tensorflow.save_model(
        custom,
        str(root / "mlflow-own"),
        custom_objects={"Twice": Twice, "Halving": author_layers.Halving},
        code_paths=[author_layers.__file__],
        **({} if IS_KERAS_3 else H5),
        **OPTIONS,
    )
    if IS_KERAS_3:
        from mlflow import keras as mlflow_keras

        mlflow_keras.save_model(model, str(root / "mlflow-keras"), **OPTIONS)


def answers(name: str, model: Any, *widths: Any) -> dict[str, Any]:
    """Random inputs of these shapes, and the model's own outputs."""
    random = np.random.default_rng(0)
    inputs = [random.random((3, *width), np.float32) for width in widths]
    given = model(inputs if len(inputs) > 1 else inputs[0])
    outputs = given if isinstance(given, list) else [given]
    return {
        **{f"{name}_in_{number}": each for number, each in enumerate(inputs)},
        **{f"{name}_out_{number}": each.numpy() for number, each in enumerate(outputs)},
    }


def main(root: Path) -> None:
    """Make the models and save them all."""
    root.mkdir()
    model, functional, scale, custom = digits(), flowers(), Scale(), own()
    np.savez(
        root / "answers.npz",
        **answers("digits", model, (28, 28)),
        **answers("flowers", functional, (4,), (2,)),
        **answers("scale", scale, (2,)),
        **answers("own", custom, (2,)),
    )
    save_keras(model, root / "digits")
    save_keras(functional, root / "flowers")
    tf.saved_model.save(scale, str(root / "scale"))
    if IS_MLFLOW_1:
        save_in_mlflow_1(model, root)
    else:
        save_in_mlflow(model, scale, custom, root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
