"""Run in an environment with some scikit-learn: train a classifier and save it.

python save.py DIRECTORY

The rows that it was trained on and its own answer to them go into expected.npz.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

directory = Path(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(60, 4))
model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=3, random_state=0))
model.fit(rows, rows[:, 0] > rows[:, 1])
joblib.dump(model, directory / "model.joblib")
np.savez(directory / "expected.npz", rows=rows, answer=model.predict_proba(rows))
