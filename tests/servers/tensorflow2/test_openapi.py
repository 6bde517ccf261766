"""The server answers generated requests as the OpenAPI document says.

No 5xx errors, and no status, type or method that is not in the document.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from fuzzing import findings
from keras import layers
from serving import Server

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def images() -> keras.Model:
    """A model for small colour images."""
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])


def several() -> keras.Model:
    """A model from token numbers and measurements to two outputs."""
    words = keras.Input((4,), dtype="int32", name="words")
    sizes = keras.Input((2,), name="sizes")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(10, 3)(words))
    joined = layers.Concatenate()([mean, sizes])
    outputs = {"kind": layers.Dense(2)(joined), "cost": layers.Dense(1)(joined)}
    return keras.Model({"words": words, "sizes": sizes}, outputs)


@pytest.mark.parametrize("make", [images, several])
def test_of_images_and_several_tensors(
    make: Callable[[], keras.Model], tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """Models of images and of several tensors, each a Keras file."""
    make().save(tmp_path / "model.keras")
    assert findings(serve_model(tmp_path).url, tmp_path) == ""
