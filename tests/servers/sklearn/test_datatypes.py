"""The metadata of V2 tells the datatype and shape that an estimator's answers have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import requests
from serving import Server
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

DATATYPES = {"float64": "FP64", "int64": "INT64", "int32": "INT32", "bool": "BOOL"}


def fitted(kind: str, iris: Any) -> Any:
    """An estimator that scikit-learn fitted to the flowers."""
    names = iris.target_names[iris.target]
    return {
        "classes of text": LogisticRegression(max_iter=500).fit(iris.data, names),
        "text in objects": DecisionTreeClassifier().fit(iris.data, names.astype(object)),
        "numbers": SVC().fit(iris.data, iris.target),
        "flags": DecisionTreeClassifier().fit(iris.data, iris.target > 1),
        "clusters": KMeans(2, n_init=1, random_state=0).fit(iris.data),
        "two targets": LinearRegression().fit(iris.data, iris.data[:, :2]),
        "two classes": MultiOutputClassifier(DecisionTreeClassifier()).fit(
            iris.data, np.c_[iris.target, iris.target]
        ),
        "scaled": StandardScaler().fit(iris.data),
        "scores": IsolationForest(n_estimators=5, random_state=0).fit(iris.data),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("classes of text", "predict"),
        ("classes of text", "predict_proba"),
        ("text in objects", "predict"),
        ("numbers", "predict"),
        ("numbers", "decision_function"),
        ("flags", "predict"),
        ("clusters", "predict"),
        ("two targets", "predict"),
        ("two classes", "predict"),
        ("scaled", "transform"),
        ("scores", "score_samples"),
    ],
)
def test_the_metadata_tells_what_scikit_learn_answers(
    kind: str, method: str, iris: Any, tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """The output has scikit-learn's dtype and shape, in the metadata and in an answer."""
    estimator, rows = fitted(kind, iris), iris.data[[0, 60, 149]]
    joblib.dump(estimator, tmp_path / "model.joblib")
    server = serve_model(tmp_path, method=method)
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [3, 4], "data": rows.tolist()}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    (answer,) = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    expected = np.asarray(getattr(estimator, method)(rows))
    datatype = DATATYPES.get(expected.dtype.name, "BYTES")
    assert described == [{"name": method, "datatype": datatype, "shape": [-1, *expected.shape[1:]]}]
    assert (answer["datatype"], answer["shape"]) == (datatype, [*expected.shape])
