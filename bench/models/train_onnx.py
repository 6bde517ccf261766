"""A perceptron of 784 inputs, 128 hidden units and 10 classes, as an ONNX graph.

python train_onnx.py DIRECTORY
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from samples import rows_of, save

PIXELS = 784
SIZES = {"w1": (PIXELS, 128), "b1": (128,), "w2": (128, 10), "b2": (10,)}
OPSET, IR = 17, 8


def main(directory: Path) -> None:
    """Save the graph with random weights."""
    # The image's environment, which uses only `direct`, does not have onnx.
    from onnx import TensorProto, checker, helper, numpy_helper, save_model

    numbers = np.random.default_rng(2)
    weights = {
        name: numbers.normal(0, 0.05, size).astype(np.float32) for name, size in SIZES.items()
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    checker.check_model(model)
    directory.mkdir(parents=True, exist_ok=True)
    save_model(model, directory / "model.onnx")
    save(directory, rows_of(PIXELS), lambda rows: answer(weights, rows))


def answer(weights: dict[str, Any], rows: Any) -> Any:
    """Compute the graph's answer in numpy."""
    hidden = np.maximum(rows @ weights["w1"] + weights["b1"], 0)
    logits = np.exp(hidden @ weights["w2"] + weights["b2"])
    return logits / logits.sum(axis=1, keepdims=True)


def direct(directory: Path) -> Callable[[Any], Any]:
    """A function that runs the session on an array."""
    from onnxruntime import InferenceSession  # not in the environment that creates the graph

    session = InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"x": rows.astype(np.float32)})[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
