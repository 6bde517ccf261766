"""Estimators trained on named columns: which ones need a DataFrame, and which work on arrays."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import all_estimators

METHODS = ("predict_proba", "decision_function", "predict", "transform", "score_samples")
NAMES = ["area", "rooms", "floor", "age"]
# Values from 0 to 1, which every estimator accepts. Created from columns, because pandas 2 keeps
# an array in its row-major layout.
FRAME = pd.DataFrame(dict(zip(NAMES, np.random.default_rng(0).random((4, 60)), strict=True)))
TARGET = np.arange(60) % 3


def able(estimator: Any) -> list[str]:
    """The methods that the estimator has."""
    return [method for method in METHODS if hasattr(estimator, method)]


def fitted() -> dict[str, Any]:
    """All scikit-learn estimators, by name, that can be fitted on FRAME and store its names."""
    estimators = {}
    for name, kind in all_estimators():
        if name == "BernoulliRBM" or not able(kind):  # its scores are random
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings of training do not matter
                estimators[name] = kind().fit(FRAME, TARGET)
        except (TypeError, ValueError, AttributeError, IndexError):
            pass  # needs another estimator, other data or no target
    return {name: each for name, each in estimators.items() if hasattr(each, "feature_names_in_")}


@pytest.mark.filterwarnings("ignore", "error:X .*feature names")  # others: about the data
def test_models_that_forget_names_answer_arrays_as_data_frames() -> None:
    """Without names, every method gives a bit-identical result for an array, without warnings."""
    from prepackaged.estimators.answers import to_payload
    from prepackaged.estimators.steps import forget_names

    rows = FRAME[:5]
    forgot = set()
    for name, estimator in fitted().items():
        expected = {
            method: to_payload(getattr(estimator, method)(rows), method)
            for method in able(estimator)
        }
        if forget_names(estimator):
            forgot.add(name)
            for method, answer in expected.items():
                same = to_payload(getattr(estimator, method)(np.asfortranarray(rows)), method)
                np.testing.assert_array_equal(same, answer, err_msg=f"{name}.{method}")

    assert {"LogisticRegression", "SVC", "Ridge", "KNeighborsClassifier", "PCA"} <= forgot
    assert {"StandardScaler", "SimpleImputer", "DecisionTreeRegressor", "KMeans"} <= forgot


class Total(RegressorMixin, BaseEstimator):
    """An author's estimator that reads a column by name."""

    def fit(self, X: Any, y: Any) -> "Total":
        """Set the attributes that scikit-learn's estimators set."""
        self.feature_names_in_, self.n_features_in_ = np.array(X.columns, dtype=object), X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        """The sum of the areas of all rows, for each row."""
        return np.full(len(X), X["area"].sum())


def doubled_rooms(frame: Any) -> Any:
    """An author's step that reads a column by name."""
    return frame.assign(rooms=frame["rooms"] * 2)


SELECTING = {
    "columns": make_pipeline(
        make_column_transformer(("passthrough", ["age", "area"])), LogisticRegression()
    ),
    "function": make_pipeline(FunctionTransformer(doubled_rooms), LogisticRegression()),
    "own class": Total(),
    "own step": make_pipeline(FunctionTransformer(doubled_rooms), Total()),
    "named output": make_pipeline(
        StandardScaler().set_output(transform="pandas"), LogisticRegression()
    ),
    "others inside": CalibratedClassifierCV(cv=2),
    "function inside": make_pipeline(SelectKBest(k=2), LogisticRegression()),
}


@pytest.mark.parametrize("name", SELECTING)
def test_names_are_kept_for_models_that_may_need_them(
    tmp_path: Path, model_of: Callable[..., Any], name: str
) -> None:
    """Estimators that select by name, contain others or run an author's code get a DataFrame."""
    estimator = SELECTING[name].fit(FRAME, TARGET)
    joblib.dump(estimator, tmp_path / "model.joblib")
    model = model_of(tmp_path, method="predict")

    answer = model.predict(FRAME[NAMES[::-1]].to_numpy(), NAMES[::-1])

    assert isinstance(model.served.rows(FRAME.to_numpy()), pd.DataFrame)
    np.testing.assert_array_equal(answer, estimator.predict(FRAME))


PLAIN = {
    "estimator": LogisticRegression(),
    "pipeline": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_named_columns_are_put_in_order_for_an_estimator_without_names(
    tmp_path: Path, model_of: Callable[..., Any], name: str
) -> None:
    """An estimator whose names were dropped gets its columns in training order."""
    estimator = PLAIN[name].fit(FRAME, TARGET)
    joblib.dump(estimator, tmp_path / "model.joblib")
    model = model_of(tmp_path)
    records = FRAME[NAMES[::-1]].to_dict("records")

    assert isinstance(model.served.rows(records), np.ndarray)
    np.testing.assert_array_equal(model.predict(records), estimator.predict_proba(FRAME))
    assert model.describe_model()["inputs"][0]["schema"]["names"] == NAMES


def test_text_reaches_an_estimator_without_names_column_by_column(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Number columns beside text columns stay numbers, as in training."""
    flats = pd.DataFrame({"city": ["Taipei", "Tainan", "Taipei"], "rooms": [3, 4, 4]})
    imputer = SimpleImputer(strategy="most_frequent").fit(flats)
    joblib.dump(imputer, tmp_path / "model.joblib")
    model = model_of(tmp_path, method="transform")

    answer = model.predict([{"rooms": None, "city": "Tainan"}, {"rooms": 3, "city": "Taipei"}])

    sent = pd.DataFrame({"city": ["Tainan", "Taipei"], "rooms": [None, 3]})
    assert answer.tolist() == imputer.transform(sent).tolist()


def test_numbers_as_names_are_the_positions_of_training(
    tmp_path: Path, serve_model: Callable[..., Any]
) -> None:
    """Pandas names columns without names 0, 1, ...; scikit-learn does not store such names."""
    frame = pd.DataFrame(np.random.default_rng(1).random((40, 3)))
    model = LogisticRegression().fit(frame, np.arange(40) % 2)
    joblib.dump(model, tmp_path / "model.joblib")
    server, rows, order = serve_model(tmp_path), frame.head(3), ["2", "0", "1"]
    records = [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]

    for sent in (
        {"jsonData": records},
        {"jsonData": [{name: record[name] for name in order} for record in records]},
        {"data": {"names": order, "ndarray": rows[[2, 0, 1]].to_numpy().tolist()}},
        {"data": {"names": [2, 0, 1], "ndarray": rows[[2, 0, 1]].to_numpy().tolist()}},
    ):
        response = requests.post(f"{server.url}/api/v1.0/predictions", json=sent, timeout=60)
        data = response.json()["data"]
        got = data["ndarray"] if "ndarray" in data else data["tensor"]["values"]
        np.testing.assert_array_equal(np.ravel(got), model.predict_proba(rows).ravel())
    sent = {"jsonData": [{"0": 1, "1": 2, "3": 3}]}
    response = requests.post(f"{server.url}/api/v1.0/predictions", json=sent, timeout=60)
    assert response.status_code == 400
    assert "this model knows no column names, got records with 0, 1, 3" in response.text
