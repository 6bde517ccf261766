"""Save an ONNX model with MLflow; run this in an environment with MLflow and onnx.

python mlflow_save.py MODEL DIRECTORY
"""

import sys

import mlflow.onnx
import onnx

model, directory = sys.argv[1:]
mlflow.onnx.save_model(onnx.load(model), directory, pip_requirements=["onnxruntime"])
