"""Models of LightGBM and CatBoost, which a fork of the sklearn image serves with these packages.

Each answer is compared with the package's own, on a DataFrame with the dtypes of the training.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from serving import ROOT, Server, serve_here

import uv

pytestmark = [
    pytest.mark.skipif(Path(sys.prefix).name != "sklearn", reason="the sklearn image serves them"),
    pytest.mark.filterwarnings("ignore"),  # the packages' own
]
WHEELS = ("lightgbm==4.7.0", "catboost==1.2.10", "six==1.17.0")
ROWS = 300
PREDICT = "/api/v1.0/predictions"


@pytest.fixture(scope="module")
def packages() -> Iterator[Any]:
    """The packages, for this module alone: the image does not have them."""
    directory = uv.CACHE / "wheels" / "boosters"
    if not all((directory / each.partition("==")[0]).exists() for each in WHEELS[:2]):
        uv.run("pip", "install", "--quiet", "--no-deps", "--target", directory, *WHEELS)
    sys.path.append(str(directory))
    yield {name: importlib.import_module(name) for name in ("lightgbm", "catboost")}
    sys.path.remove(str(directory))


@pytest.fixture(scope="module")
def table() -> Any:
    """Training data: a number, pandas' categories, flags, and whole numbers."""
    import pandas as pd

    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, ROWS),
            "city": pd.Categorical(rng.choice(["Oslo", "Paris", "Rome"], ROWS)),
            "rate": rng.normal(size=ROWS),
            "vip": rng.random(ROWS) > 0.5,
            "grade": pd.Categorical(rng.choice([3, 5, 9], ROWS)),
        }
    )


KINDS = ("lightgbm", "lightgbm in a search", "lightgbm in a pipeline", "catboost")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, packages: Any, table: Any) -> Any:
    """A fitted classifier."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    target = (table["city"] == "Rome") & (table["age"] > 40) | (table["grade"] == 9)
    if request.param == "catboost":
        model = packages["catboost"].CatBoostClassifier(
            iterations=5, verbose=0, cat_features=["city", "grade"], allow_writing_files=False
        )
        return model.fit(_for_catboost(table), target)
    model = packages["lightgbm"].LGBMClassifier(n_estimators=5, verbose=-1)
    if request.param == "lightgbm in a search":
        model = GridSearchCV(model, {"max_depth": [3]})
    elif request.param == "lightgbm in a pipeline":
        model = make_pipeline("passthrough", model)
    return model.fit(table, target)


def _for_catboost(table: Any) -> Any:
    return table.assign(city=table["city"].astype(object), grade=table["grade"].astype(int))


@pytest.fixture(scope="module")
def server(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the image's Model with the model's file."""
    import joblib

    directory = tmp_path_factory.mktemp("model")
    joblib.dump(model, directory / "model.joblib")
    sys.path.insert(0, str(ROOT / "sklearn/server"))
    served = importlib.import_module("Model").Model(str(directory))
    served.load()
    with serve_here(served) as server:
        yield server


RECORD = {"age": 50, "city": "Rome", "rate": 0.1, "vip": True, "grade": 9}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"age": 30.5, "grade": 3},
        {"rate": None},
        {"vip": False},
        {"city": "Berlin"},  # not in training
    ],
)
def test_records_in_any_order_get_the_answer_of_the_framework(
    server: Server, model: Any, table: Any, changes: dict[str, Any]
) -> None:
    """Columns are matched by name, and categories are those of the training."""
    import pandas as pd

    record = RECORD | changes
    frame = pd.DataFrame([record])
    frame["rate"] = frame["rate"].astype(float)
    if not type(model).__module__.startswith("catboost"):
        for name in ("city", "grade"):
            known = table[name].cat.categories
            frame[name] = pd.Categorical(frame[name].where(frame[name].isin(known)), known)
    right = model.predict_proba(frame).tolist()

    for order in (list(record), sorted(record), sorted(record, reverse=True)):
        body = {"jsonData": [{name: record[name] for name in order}]}
        response = requests.post(server.url + PREDICT, json=body, timeout=60)
        assert response.status_code == 200, response.text
        np.testing.assert_allclose(response.json()["data"]["tensor"]["values"], right[0])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"age": "old"}, "row 0, column 'age': expected a number, got 'old'"),
        ({"town": "Rome"}, "unknown: town"),
        ({"city": ["Rome"]}, "expected rows of plain values"),
        ({"city": {"name": "Rome"}}, "expected rows of plain values"),
    ],
)
def test_a_wrong_record_is_refused_by_name(
    server: Server, changes: dict[str, Any], why: str
) -> None:
    """A wrong value gets 400 with its column; the server answers the next request."""
    record = RECORD | changes
    if "town" in changes:
        del record["city"]
    refused = requests.post(server.url + PREDICT, json={"jsonData": [record]}, timeout=60)
    assert refused.status_code == 400
    assert why in refused.json()["status"]["info"]
    assert requests.post(server.url + PREDICT, json={"jsonData": [RECORD]}, timeout=60).ok


def test_a_missing_category_is_a_missing_value_or_refused(server: Server, model: Any) -> None:
    """LightGBM takes null as missing; CatBoost accepts no missing category."""
    body = {"jsonData": [RECORD | {"city": None}]}
    response = requests.post(server.url + PREDICT, json=body, timeout=60)
    is_catboost = type(model).__module__.startswith("catboost")
    assert response.status_code == (400 if is_catboost else 200), response.text
