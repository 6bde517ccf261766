# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "skl2onnx==1.20.0"]
# ///
"""Train a small classifier on the iris flowers and convert it: `uv run train.py DIRECTORY`."""

import sys
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def main(directory: Path) -> None:
    """Save `model.onnx`, which answers with probabilities, in the directory."""
    iris = load_iris()
    # To the optimum, so that the answers are the same on every processor.
    model = LogisticRegression(solver="newton-cg", tol=1e-10)
    model.fit(iris.data, iris.target_names[iris.target])
    converted = to_onnx(model, iris.data[:1].astype(np.float32))
    directory.mkdir(parents=True, exist_ok=True)
    probabilities = select_model_inputs_outputs(converted, "output_probability")
    onnx.save(probabilities, directory / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
