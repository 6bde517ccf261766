"""Estimators that were trained on named columns: who is given a DataFrame, and who need not be."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
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
# In the range of every estimator that takes no negative numbers, or none beyond 1. Made of
# columns, because pandas 2 keeps an array that it is given as it is, row after row.
FRAME = pd.DataFrame(dict(zip(NAMES, np.random.default_rng(0).random((4, 60)), strict=True)))
TARGET = np.arange(60) % 3


def able(estimator: Any) -> list[str]:
    """The methods that an estimator has to answer with."""
    return [method for method in METHODS if hasattr(estimator, method)]


def fitted() -> dict[str, Any]:
    """Every estimator of scikit-learn that is fitted on the frame as it is, by its name."""
    estimators = {}
    for name, kind in all_estimators():
        if name == "BernoulliRBM" or not able(kind):  # whose scores are random
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what training warns of is not ours
                estimators[name] = kind().fit(FRAME, TARGET)
        except (TypeError, ValueError, AttributeError, IndexError):
            pass  # needs another one, other data or no target
    return {name: each for name, each in estimators.items() if hasattr(each, "feature_names_in_")}


@pytest.mark.filterwarnings("ignore", "error:X .*feature names")  # others warn of this data
def test_arrays_are_answered_as_data_frames_are_by_whoever_forgets_names() -> None:
    """For each method of each estimator there is: the same answer to the last bit, no warning."""
    from prepackaged.estimators.answers import to_payload
    from prepackaged.estimators.steps import forget_names

    rows = FRAME[:5]
    forgot = set()
    for name, estimator in fitted().items():
        expected = {
            method: to_payload(getattr(estimator, method)(rows)) for method in able(estimator)
        }
        if forget_names(estimator):
            forgot.add(name)
            for method, answer in expected.items():
                same = to_payload(getattr(estimator, method)(np.asfortranarray(rows)))
                np.testing.assert_array_equal(same, answer, err_msg=f"{name}.{method}")

    assert {"LogisticRegression", "SVC", "Ridge", "KNeighborsClassifier", "PCA"} <= forgot
    assert {"StandardScaler", "SimpleImputer", "DecisionTreeRegressor", "KMeans"} <= forgot


class Total(RegressorMixin, BaseEstimator):
    """An author's own estimator, which reads a column by its name."""

    def fit(self, X: Any, y: Any) -> "Total":
        """Note what scikit-learn's own estimators note."""
        self.feature_names_in_, self.n_features_in_ = np.array(X.columns, dtype=object), X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        """The areas of all rows together."""
        return np.full(len(X), X["area"].sum())


def doubled_rooms(frame: Any) -> Any:
    """An author's own step, which reads a column by its name."""
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
def test_names_are_kept_for_whom_they_may_matter(
    tmp_path: Path, model_of: Callable[..., Any], name: str
) -> None:
    """Estimators that select by name, hold others or run an author's code get a DataFrame."""
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
    """Forgetting the names changes no answer: the server knows them still, and puts them right."""
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
    """Columns of numbers beside columns of text stay numbers, as they were in training."""
    flats = pd.DataFrame({"city": ["Taipei", "Tainan", "Taipei"], "rooms": [3, 4, 4]})
    imputer = SimpleImputer(strategy="most_frequent").fit(flats)
    joblib.dump(imputer, tmp_path / "model.joblib")
    model = model_of(tmp_path, method="transform")

    answer = model.predict([{"rooms": None, "city": "Tainan"}, {"rooms": 3, "city": "Taipei"}])

    sent = pd.DataFrame({"city": ["Tainan", "Taipei"], "rooms": [None, 3]})
    assert answer.tolist() == imputer.transform(sent).tolist()
