"""Run in an environment with MLflow and onnx: save a model of ONNX as MLflow saves it.

python mlflow_save.py MODEL DIRECTORY
"""

import sys

import mlflow.onnx
import onnx

model, directory = sys.argv[1:]
mlflow.onnx.save_model(onnx.load(model), directory, pip_requirements=["onnxruntime"])
