"""Save a classifier with MLflow; run this in an environment with MLflow.

python mlflow_save.py DIRECTORY WHAT NAME

WHAT is `wrapper` or `booster`. NAME is the file's name; its suffix is passed to MLflow as the
format, unless it is model.xgb, MLflow's default. The file expected.npz beside the model has the
training rows and the classifier's own probabilities for them.
"""

import sys
from pathlib import Path

import mlflow.xgboost
import numpy as np
from xgboost import XGBClassifier

directory, what, name = sys.argv[1:]
rows = np.random.default_rng(0).normal(size=(60, 4))
model = XGBClassifier(n_estimators=5, max_depth=3).fit(rows, np.digitize(rows[:, 0], [-0.5, 0.5]))
mlflow.xgboost.save_model(
    model if what == "wrapper" else model.get_booster(),
    directory,
    pip_requirements=["xgboost"],
    **({} if name == "model.xgb" else {"model_format": name.rpartition(".")[2]}),
)
np.savez(Path(directory, "expected.npz"), rows=rows, probabilities=model.predict_proba(rows))
