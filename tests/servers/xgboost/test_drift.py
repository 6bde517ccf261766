"""Boosters know ranges from their trees, and the metrics count what is far outside of them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from drift_counts import counts
from serving import serve_here
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler
from xgboost import DMatrix, XGBClassifier, train

from prepackaged.server.inference import drift

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count every batch, however slow this machine is."""
    monkeypatch.setattr(drift, "MOST_SAVED", math.inf)


@pytest.fixture(scope="module")
def mixed(rows: Array) -> Array:
    """One of three classes for each row, of which trees learn by many thresholds."""
    return np.random.default_rng(0).integers(0, 3, len(rows))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Two numbers of different size, a flag, and a category."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "area": random.normal(100, 20, 400),
            "price": random.normal(-1e6, 1e5, 400),
            "is new": random.integers(0, 2, 400).astype(bool),
            "city": pd.Categorical(random.choice(["Taipei", "Tainan"], 400)),
        }
    )


def fitted(table: pd.DataFrame, **parameters: Any) -> XGBClassifier:
    """A classifier that uses all columns for thresholds."""
    target = (table["area"] > 100) ^ (np.random.default_rng(1).random(len(table)) < 0.3)
    model = XGBClassifier(n_estimators=30, max_depth=5, enable_categorical=True, **parameters)
    return model.fit(table, target.astype(int))


@pytest.mark.parametrize("file", ["model.json", "model.ubj", "model.joblib"])
def test_ranges_are_three_spans_around_the_thresholds(
    file: str, table: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """XGBoost's own table of its trees has the thresholds."""
    model = fitted(table[["area", "price"]])
    path = tmp_path / file
    joblib.dump(model, path) if path.suffix == ".joblib" else model.save_model(path)
    trees = model.get_booster().trees_to_dataframe()

    found = {each.name: each.value_range for each in model_of(tmp_path).signature.inputs}

    for name in ("area", "price"):
        low, high = trees["Split"][trees["Feature"] == name].agg(["min", "max"])
        assert found[name].source == "thresholds"
        assert (found[name].low, found[name].high) == pytest.approx(
            (low - 3 * (high - low), high + 3 * (high - low))
        )
        assert found[name].low < table[name].min() < table[name].max() < found[name].high


@pytest.mark.parametrize("booster", ["gblinear", "dart", "gbtree"])
def test_boosters_of_any_kind_are_loaded(
    booster: str, rows: Array, mixed: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Trees of several classes and parallel trees have ranges; a linear booster has none."""
    parameters = {"booster": booster, "objective": "multi:softprob", "num_class": 3}
    parameters |= {} if booster == "gblinear" else {"num_parallel_tree": 2, "max_depth": 6}
    train(parameters, DMatrix(rows, mixed), 20).save_model(tmp_path / "model.ubj")

    first, *_ = model_of(tmp_path).signature.inputs

    assert (first.value_range is None) == (booster == "gblinear")
    assert booster == "gblinear" or first.value_range.low < np.nanmin(rows[:, 0])


def test_what_is_counted_is_what_was_sent(
    table: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any], since_3_1: None
) -> None:
    """Missing and distant values count; categories, of which unknown ones are refused, do not."""
    model = fitted(table)
    joblib.dump(model, tmp_path / "model.joblib")
    records = [
        {"area": 100, "price": -1e6, "is new": True, "city": "Taipei"},
        {"area": 1e5, "price": None, "is new": False, "city": None},
        {"area": -1e5, "price": 1e9, "is new": None, "city": "Tainan"},
    ]
    with serve_here(model_of(tmp_path, method="label")) as server:
        assert server.post({"jsonData": records}).status_code == 200
        assert server.post({"jsonData": [records[0] | {"city": "Kyoto"}]}).status_code == 400
        found = counts(server)

    frame = pd.DataFrame(records).astype({"area": float, "price": float})
    frame["is new"] = frame["is new"].astype("boolean")
    frame["city"] = pd.Categorical(frame["city"], categories=table["city"].cat.categories)
    labels = pd.Series(model.predict(frame)).astype(str).value_counts()
    assert found == {
        "rows": 3,
        "area below_range": 1,
        "area above_range": 1,
        "price missing": 1,
        "price above_range": 1,
        "is new missing": 1,
        "city missing": 1,
        **labels,
    }


def test_the_number_that_means_missing_is_missing(
    rows: Array, mixed: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """With `missing=-999`, -999 is a missing value and not far below the range."""
    filled = np.nan_to_num(rows, nan=-999)
    model = XGBClassifier(n_estimators=20, max_depth=6, missing=-999).fit(filled, mixed)
    joblib.dump(model, tmp_path / "model.joblib")
    sent = [[-999.0, 0.0, -998.0, None], [0, 0, 0, 0]]

    loaded = model_of(tmp_path, method="predict_proba")
    known = [place for place, each in enumerate(loaded.signature.inputs) if each.value_range]
    with serve_here(loaded) as server:
        assert server.post({"data": {"ndarray": sent}}).status_code == 200
        found = counts(server)

    assert 2 in known
    assert {labels: value for labels, value in found.items() if " " in labels} == {
        "0 missing": 1,
        "2 below_range": 1,
        "3 missing": 1,
    }


def test_a_pipelines_scaler_knows_more_than_its_booster(
    table: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The exact range of a scaler counts, and an imputer lets missing values pass to be counted."""
    numbers = table[["area", "price"]]
    classifier = XGBClassifier(n_estimators=10, max_depth=5)
    pipeline = make_pipeline(SimpleImputer(), MinMaxScaler(), classifier)
    joblib.dump(pipeline.fit(numbers, table["is new"]), tmp_path / "model.joblib")
    ends = [*numbers["area"].agg(["min", "max"])]
    sent = [*ends, ends[0] - 0.01, ends[1] + 0.01, None]

    with serve_here(model_of(tmp_path)) as server:
        body = {"jsonData": [{"area": area, "price": -1e6} for area in sent]}
        assert server.post(body).status_code == 200
        found = counts(server)

    assert found["rows"] == 5
    assert {labels: value for labels, value in found.items() if " " in labels} == {
        "area missing": 1,
        "area below_range": 1,
        "area above_range": 1,
    }


def test_scaled_thresholds_are_scaled_back(
    table: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Behind a scaler that keeps no range, a booster's range is in the unit of the clients."""
    numbers = table[["area", "price"]]
    target = (numbers["area"] > 100) ^ (np.random.default_rng(1).random(400) < 0.3)
    pipeline = make_pipeline(RobustScaler(), XGBClassifier(n_estimators=30, max_depth=5))
    joblib.dump(pipeline.fit(numbers, target), tmp_path / "model.joblib")

    area, price = model_of(tmp_path).signature.inputs

    for column, values in ((area, numbers["area"]), (price, numbers["price"])):
        span = values.max() - values.min()
        assert column.value_range.source == "thresholds"
        assert values.min() - 4 * span < column.value_range.low < values.min()
        assert values.max() < column.value_range.high < values.max() + 4 * span
