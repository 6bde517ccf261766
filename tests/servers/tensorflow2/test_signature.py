"""The Model's signature equals that of TensorFlow or of the Keras model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from prepackaged import TensorSpec


class Scaling(tf.Module):
    """A module with inputs of integers and words, and two outputs."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.int32, name="counts"),
            tf.TensorSpec([None], tf.string, name="words"),
            tf.TensorSpec([], tf.float32, name="factor"),
        ]
    )
    def scaled(self, counts: Any, words: Any, factor: Any) -> dict[str, Any]:
        """Return the counts times the factor, and the lengths of the words."""
        scaled = tf.cast(counts, tf.float32) * factor
        return {"scaled": scaled, "lengths": tf.strings.length(words)}


def test_tensors_are_those_of_the_saved_models_signature(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """Names, dtypes and shapes are TensorFlow's; axes of several inputs are not tied."""
    module = Scaling()
    tf.saved_model.save(module, str(tmp_path), signatures=module.scaled)
    saved = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]

    signature = load(tmp_path).signature

    inputs = {each.name: each for each in signature.inputs}
    outputs = {each.name: each for each in signature.outputs}
    assert inputs.keys() == saved.structured_input_signature[1].keys()
    assert outputs.keys() == saved.structured_outputs.keys()
    for name, told in {**saved.structured_input_signature[1], **saved.structured_outputs}.items():
        assert (inputs | outputs)[name].shape == tuple(told.shape.as_list())
    assert inputs["counts"] == TensorSpec("counts", "int32", (None, 3), axes=(None, None))
    assert inputs["words"] == TensorSpec("words", "bytes", (None,), axes=(None,))
    assert outputs["lengths"].dtype == "int32"
    assert {name: each.axes for name, each in inputs.items()} == {
        "counts": (None, None),
        "words": (None,),
        "factor": (),
    }
    assert signature.sources == {"inputs": "model", "outputs": "model"}


@pytest.mark.parametrize("batch", [None, 1])
def test_tensors_are_those_of_the_keras_model(
    tmp_path: Path, load: Callable[..., Any], batch: int | None
) -> None:
    """A batch that is fixed at 1 is free in the signature, because rows run one by one."""
    left = keras.Input((2,), batch_size=batch, name="left")
    right = keras.Input((2,), batch_size=batch, name="right")
    model = keras.Model([left, right], keras.layers.Add(name="sum")([left, right]))
    model.save(tmp_path / "model.keras")

    signature = load(tmp_path).signature

    assert [each.name for each in signature.inputs] == [each.name for each in model.inputs]
    assert [each.name for each in signature.outputs] == model.output_names
    assert {each.shape for each in signature.inputs} == {(None, *model.input_shape[0][1:])}
    assert {each.axes[0] for each in signature.inputs} == {"batch"}
