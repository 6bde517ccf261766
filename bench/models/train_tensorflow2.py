"""A Keras perceptron of 784 inputs, 128 hidden units and 10 classes.

python train_tensorflow2.py DIRECTORY
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from samples import rows_of, save

PIXELS = 784


def main(directory: Path) -> None:
    """Save the model with random weights."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((PIXELS,)),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    directory.mkdir(parents=True, exist_ok=True)
    keras.Sequential(layers).save(directory / "model.keras")
    save(directory, rows_of(PIXELS), direct(directory))


def direct(directory: Path) -> Callable[[Any], Any]:
    """A function that calls the compiled model on an array."""
    model = keras.models.load_model(directory / "model.keras")
    signature = [tf.TensorSpec([None, PIXELS], tf.float32)]
    function = tf.function(lambda rows: model(rows, training=False), signature)
    return lambda rows: function(tf.constant(rows, tf.float32)).numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
