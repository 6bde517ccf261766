"""Train and save models of many kinds; run this in an environment with any scikit-learn.

python save.py DIRECTORY

Each model is saved as NAME.joblib; NAME.npz has rows and the model's own answer to them. The rows
of the model `text` are documents.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

directory = Path(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(60, 4))
texts = np.array(["good food", "bad food", "nice place", "awful place"] * 15)
columns = ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough")
models = {
    "tree": make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=3, random_state=0)),
    "columns": make_pipeline(columns, LogisticRegression()),
    "imputer": make_pipeline(SimpleImputer(), LogisticRegression()),
    "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "vectors": SVC(),
    "text": make_pipeline(TfidfVectorizer(), SVC()),
}
for name, model in models.items():
    given = texts if name == "text" else rows
    model.fit(given, rows[:, 0] > rows[:, 1])
    method = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    joblib.dump(model, directory / f"{name}.joblib", compress=3 if name == "tree" else 0)
    np.savez(directory / f"{name}.npz", rows=given, answer=method(given))
