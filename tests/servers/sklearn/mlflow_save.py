"""Save a classifier of iris flowers with MLflow; run this in an environment with MLflow.

python mlflow_save.py DIRECTORY [SERIALIZATION_FORMAT [MODULE]]

MODULE is a file with a transformer class `Doubling`, which is saved as the model's code.
"""

import importlib
import sys
from pathlib import Path

import mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

directory, *rest = sys.argv[1:]
features, species = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=500)
options = {"pip_requirements": ["scikit-learn"]}
if rest:
    options["serialization_format"] = rest[0]
if rest[1:]:
    module = Path(rest[1])
    sys.path.insert(0, str(module.parent))
    model = make_pipeline(importlib.import_module(module.stem).Doubling(), model)
    options["code_paths"] = [str(module)]
mlflow.sklearn.save_model(model.fit(features, species), directory, **options)
