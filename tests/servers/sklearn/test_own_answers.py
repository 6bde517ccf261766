"""What an author's own methods return, in every protocol."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
from serving import Server
from sklearn.base import BaseEstimator
from sklearn.tree import DecisionTreeClassifier

ROWS = np.arange(8.0).reshape(4, 2)
FORMS = {
    "Seldon": ("/api/v1.0/predictions", {"data": {"ndarray": ROWS.tolist()}}),
    "V1": ("/v1/models/model:predict", {"instances": ROWS.tolist()}),
    "MLflow": ("/invocations", {"inputs": ROWS.tolist()}),
    "V2": (
        "/v2/models/model/infer",
        {"inputs": [{"name": "x", "shape": [4, 2], "datatype": "FP64", "data": ROWS.tolist()}]},
    ),
}


class Own(BaseEstimator):
    """An estimator that returns what a function makes of the rows."""

    def __init__(self, function: Any = None) -> None:
        self.function = function

    def fit(self, X: Any, y: Any = None) -> Any:
        """Note the number of columns."""
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        """Call the function."""
        return self.function(X)


def moments(X: Any) -> Any:
    """Nanoseconds, of which one is missing."""
    found = np.datetime64("2026-01-31T12:00:00", "ns") + X[:, 0].astype("m8[h]")
    found[1] = np.datetime64("NaT")
    return found


def days(X: Any) -> Any:
    """Dates of the standard library, of which one is missing."""
    return pd.Series(moments(X)).dt.date.to_numpy()


def in_taipei(X: Any) -> Any:
    """Moments with a zone."""
    return pd.Series(moments(X)).dt.tz_localize("Asia/Taipei")


def counts(X: Any) -> Any:
    """Whole numbers of pandas, of which one is missing."""
    return pd.Series([1, None, 3, 4], dtype="Int64")


def words(X: Any) -> Any:
    """Texts, of which one is missing."""
    return pd.Series(["late", None, "early", "late"])


MISSING = {
    "moments": (
        moments,
        [f"2026-01-31T{hour}:00:00.000000000" for hour in (12, 14, 16, 18)],
    ),
    "days": (days, ["2026-01-31"] * 4),
    "moments with a zone": (
        in_taipei,
        [f"2026-01-31T{hour}:00:00+08:00" for hour in (12, 14, 16, 18)],
    ),
    "texts": (words, ["late", "", "early", "late"]),
    "whole numbers": (counts, [1, 0, 3, 4]),
}


def answer_in(name: str, server: Server) -> Any:
    """The predictions in the answer of a protocol."""
    path, body = FORMS[name]
    response = requests.post(server.url + path, json=body, timeout=30)
    assert response.status_code == 200, response.text
    answer = response.json()
    if "data" in answer:
        return answer["data"]["ndarray"]
    return answer["outputs"][0]["data"] if "outputs" in answer else answer["predictions"]


@pytest.mark.parametrize("kind", MISSING)
def test_dates_and_missing_values_are_the_same_in_every_protocol(
    tmp_path: Path, serve_model: Callable[..., Server], kind: str
) -> None:
    """Dates and times are text as in ISO 8601, and what is missing is null."""
    function, expected = MISSING[kind]
    joblib.dump(Own(function).fit(ROWS), tmp_path / "model.joblib")
    server = serve_model(tmp_path)

    for name in FORMS:
        got = answer_in(name, server)
        assert got == [expected[0], None, *expected[2:]], name


def octets(X: Any) -> Any:
    """Bytes, of which some are no text."""
    return [b"\xff\xfe", b"late", b"\xff", "中".encode()]


def test_bytes_that_are_no_text_are_base64(
    tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """Bytes in UTF-8 are text, others an object; a binary tensor has them as they are."""
    joblib.dump(Own(octets).fit(ROWS), tmp_path / "model.joblib")
    server = serve_model(tmp_path)
    path, body = FORMS["V2"]
    asked = {**body, "parameters": {"binary_data_output": True}}

    for name in ("Seldon", "V1", "MLflow"):
        assert answer_in(name, server) == [{"b64": "//4="}, "late", {"b64": "/w=="}, "中"], name
    answer = requests.post(server.url + path, json=asked, timeout=30)
    binary = answer.content[int(answer.headers["Inference-Header-Content-Length"]) :]
    assert binary == b"".join(len(each).to_bytes(4, "little") + each for each in octets(ROWS))


def matrices(X: Any) -> Any:
    """A matrix for each row, as of an image or a path."""
    return [np.full((3, 2), row[0]) for row in X]


def paths(X: Any) -> Any:
    """A matrix of a size of its own for each row."""
    return [np.full((1 + number, 2), row[0]) for number, row in enumerate(X)]


@pytest.mark.parametrize("function", [matrices, paths])
def test_a_list_from_an_own_predict_has_an_item_for_each_row(
    tmp_path: Path, serve_model: Callable[..., Server], function: Any
) -> None:
    """Matrices in a list from `predict` are answers to the rows, never outputs."""
    joblib.dump(Own(function).fit(ROWS), tmp_path / "model.joblib")
    server = serve_model(tmp_path)

    for name in ("Seldon", "V1", "MLflow"):
        assert answer_in(name, server) == [each.tolist() for each in function(ROWS)], name


def test_a_list_from_predict_proba_has_an_item_for_each_output(served: Callable[..., Any]) -> None:
    """As in scikit-learn, also if there are as many outputs as rows."""
    model = DecisionTreeClassifier().fit(ROWS, [[0, 1], [1, 1], [0, 0], [1, 0]])

    answer = served(model)({"data": {"ndarray": ROWS[:2].tolist()}})

    first, second = model.predict_proba(ROWS[:2])
    np.testing.assert_array_equal(answer[:, 0], first)
    np.testing.assert_array_equal(answer[:, 1], second)
