"""Save a booster in each of XGBoost's formats; run this in an environment with any XGBoost.

python save.py DIRECTORY

The file expected.npz has the training rows and the booster's own answer to them.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import xgboost

directory = Path(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(60, 4))
data = xgboost.DMatrix(rows, rows[:, 0] > 0)
booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, data, 5)
for name in ("model.deprecated", "model.json", "model.ubj"):
    booster.save_model(directory / name)
(directory / "model.pkl").write_bytes(pickle.dumps(booster))
np.savez(directory / "expected.npz", rows=rows, answer=booster.predict(data))
