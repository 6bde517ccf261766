# /// script
# requires-python = ">=3.11"
# dependencies = ["onnx==1.23.2", "numpy==2.4.6"]
# ///
"""A network for CIFAR10-sized pictures: `uv run train_onnx.py DIRECTORY`."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sample import picture, save

SIZES = {"kernel": (6, 3, 5, 5), "weight": (6, 10), "bias": (10,)}


def network() -> onnx.ModelProto:
    """A model from pictures [n, 3, 32, 32] to logits [n, 10], with random weights."""
    numbers = np.random.default_rng(0)
    weights = {name: numbers.normal(size=size).astype("float32") for name, size in SIZES.items()}
    nodes = [
        helper.make_node("Conv", ["picture", "kernel"], ["features"]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"]),
    ]
    pictures = helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, ["n", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 10])
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "cifar10", [pictures], [logits], stored)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def main(directory: Path) -> None:
    """Save `model/model.onnx`, and the answer of ONNX's reference evaluator to a picture."""
    model = network()
    pixels = picture(32, 32, 3)
    rows = (pixels.transpose(2, 0, 1)[None] / 255).astype("float32")
    (directory / "model").mkdir()
    onnx.save(model, directory / "model/model.onnx")
    (answer,) = ReferenceEvaluator(model).run(None, {"picture": rows})
    save(directory, rows, answer, pixels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
