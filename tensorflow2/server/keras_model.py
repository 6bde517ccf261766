"""Compile the call of a Keras model, for Keras 3 and for tf_keras."""

from typing import Any

import tensorflow as tf
from compiled import Compiled

from prepackaged import DeploymentError


def compile_keras(model: Any) -> Compiled:
    """Trace the model's call in inference mode, for batches of any size.

    Raises `DeploymentError` if the file does not describe the model's inputs.
    """
    structure, inputs = _inputs(model)

    def call(tensors: list[Any]) -> dict[str, Any]:
        outputs = model(tf.nest.pack_sequence_as(structure, tensors), training=False)
        return _named(outputs, getattr(model, "output_names", None) or [])

    traced = tf.function(call).get_concrete_function(list(inputs.values()))
    outputs = traced.structured_outputs
    return Compiled(traced, inputs, outputs, traced, model, has_one_batch=True)


def _inputs(model: Any) -> tuple[Any, dict[str, Any]]:
    """The nested structure of the model's inputs, and their specs by name."""
    tensors = getattr(model, "inputs", None)
    if not tensors:
        return _built_for(model)
    try:
        structure = model.input
    except AttributeError:  # a Sequential of Keras 3
        structure = tensors[0]
    names = sorted(structure) if isinstance(structure, dict) else [each.name for each in tensors]
    specs = [tf.TensorSpec(each.shape, each.dtype) for each in tensors]
    return structure, dict(zip(names, specs, strict=True))


def _built_for(model: Any) -> tuple[Any, dict[str, Any]]:
    """The input with which a subclassed model was called before it was saved, as float32."""
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape or not all(size is None or isinstance(size, int) for size in shape):
        raise DeploymentError(
            f"the model {type(model).__name__} does not describe its inputs:"
            " save it with model.export(directory)"
        )
    spec = tf.TensorSpec([None, *shape[1:]], tf.float32)
    return spec, {"input": spec}


def _named(outputs: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(outputs, dict) and all(map(tf.is_tensor, outputs.values())):
        return outputs
    flat = tf.nest.flatten(outputs)
    if len(set(names)) != len(flat):
        names = [f"output_{number}" for number in range(len(flat))]
    return dict(zip(names, flat, strict=True))
