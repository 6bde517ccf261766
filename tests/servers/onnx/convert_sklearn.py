"""Convert estimators to ONNX; run this in an environment with skl2onnx.

python convert_sklearn.py DIRECTORY

Beside each NAME.onnx, NAME.npz has inputs by name and, as `expected <output>`, the estimator's own
outputs for them.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

directory = Path(sys.argv[1])
flowers = load_iris()
rows = flowers.data[[0, 60, 149]].astype(np.float32)


def save(name: str, model: Any, inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    """Write the model, its inputs and the right answers."""
    (directory / f"{name}.onnx").write_bytes(model.SerializeToString())
    answers = {f"expected {output}": np.asarray(value) for output, value in expected.items()}
    np.savez(directory / f"{name}.npz", **inputs, **answers)


def save_classifier(name: str, target: Any) -> None:
    """Save a classifier with probabilities as a list of dicts, skl2onnx's default."""
    model = LogisticRegression(max_iter=500).fit(flowers.data, target)
    expected = {
        "output_label": model.predict(rows).tolist(),
        "output_probability": model.predict_proba(rows).astype(np.float32),
    }
    save(name, to_onnx(model, rows), {"X": rows}, expected)


save_classifier("numbered", flowers.target)
save_classifier("named", flowers.target_names[flowers.target])

regressor = LinearRegression().fit(flowers.data[:, :3], flowers.data[:, 3])
expected = {"variable": regressor.predict(rows[:, :3]).reshape(-1, 1).astype(np.float32)}
save("regressor", to_onnx(regressor, rows[:, :3]), {"X": rows[:, :3]}, expected)

texts = ["good food", "great place", "bad food", "awful service"]
reviews = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, [1, 1, 0, 0])
types = [("text", StringTensorType([None, 1]))]
converted = to_onnx(reviews, initial_types=types, options={"zipmap": False})
expected = {"label": reviews.predict(texts), "probabilities": reviews.predict_proba(texts)}
save("reviews", converted, {"text": np.array(texts).reshape(-1, 1)}, expected)

flats = pd.DataFrame({"area": [30.0, 40, 80, 90], "city": ["Taipei", "Tainan"] * 2})
columns = make_column_transformer((StandardScaler(), ["area"]), (OneHotEncoder(), ["city"]))
rent = make_pipeline(columns, LinearRegression()).fit(flats, [20, 12, 45, 25])
types = [("area", FloatTensorType([None, 1])), ("city", StringTensorType([None, 1]))]
inputs = {"area": flats[["area"]].to_numpy(np.float32), "city": flats[["city"]].to_numpy(str)}
expected = {"variable": rent.predict(flats).reshape(-1, 1)}
save("columns", to_onnx(rent, initial_types=types), inputs, expected)
