"""An author's module, which MLflow stores beside the model as its code."""

from typing import Any

from tensorflow import keras


class Halving(keras.layers.Layer):
    """A layer that halves its values."""

    def call(self, values: Any) -> Any:
        """Halve the values."""
        return values / 2
