"""The metrics of drift agree with pandas, for pipelines that clients ask over several protocols."""

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
from drift_counts import counts
from serving import ROOT, Server, serve
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from prepackaged import Column, Table, testing
from prepackaged.server.inference import drift
from prepackaged.server.inference.anomalies import Anomalies

SERVER = ROOT / "sklearn/server"
NUMBERS, FLOORS, TEXTS = ["age", "income"], ["floor"], ["city"]
HOSTILE = '<script>alert("價格")</script>\n\\# TYPE x counter'


@pytest.fixture(autouse=True)
def all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count every batch, however slow this machine is."""
    monkeypatch.setattr(drift, "MOST_SAVED", math.inf)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A table for training: two numbers, an integer category and a text."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.integers(18, 91, 200).astype(float),
            "income": random.normal(50_000, 9_000, 200),
            "floor": random.integers(1, 8, 200),
            "city": random.choice(["Taipei", "Tainan"], 200),
        }
    )


@pytest.fixture(scope="module")
def pipeline(table: pd.DataFrame) -> Any:
    """A pipeline that knows the range of each number and the categories of the others."""
    steps = make_column_transformer(
        (make_pipeline(SimpleImputer(), MinMaxScaler()), ["age"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income"]),
        (OneHotEncoder(handle_unknown="ignore"), FLOORS),
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            TEXTS,
        ),
    )
    steps = make_pipeline(steps, HistGradientBoostingClassifier(max_iter=5))
    return steps.fit(table, np.where(table["age"] > 50, "old", "young"))


@pytest.fixture
def server(tmp_path: Path, pipeline: Any, serve_model: Callable[..., Server]) -> Server:
    """A server with the pipeline."""
    joblib.dump(pipeline, tmp_path / "model.joblib")
    return serve_model(tmp_path)


def expected(table: pd.DataFrame, sent: pd.DataFrame, classes: Any) -> dict[str, float]:
    """What pandas counts in a table, compared with that of training."""
    age, income = table["age"], table["income"]
    margin = 6 * income.std(ddof=0)
    found = {
        "rows": len(sent),
        "age missing": sent["age"].isna().sum(),
        "age below_range": (sent["age"] < age.min()).sum(),
        "age above_range": (sent["age"] > age.max()).sum(),
        "income missing": sent["income"].isna().sum(),
        "income below_range": (sent["income"] < income.mean() - margin).sum(),
        "income above_range": (sent["income"] > income.mean() + margin).sum(),
        **{f"{name} missing": sent[name].isna().sum() for name in FLOORS + TEXTS},
        **{
            f"{name} unknown_category": (~sent[name].isin([*table[name], None, math.nan])).sum()
            for name in FLOORS + TEXTS
        },
        **dict(pd.Series(classes).value_counts()),
    }
    return {labels: value for labels, value in found.items() if value}


def strange(rows: int, seed: int) -> pd.DataFrame:
    """A table of clients: some values are missing, unknown, or far away."""
    random = np.random.default_rng(seed)
    columns = {
        "age": [17.9, 18, 40.5, 90, 91, 1e9, -1e9, None],
        "income": [0, -1e6, 1e6, 50_000, None],
        "floor": [1, 7, 8, 0, None],
        "city": ["Taipei", "taipei", "", "Tainan", None],
    }
    return pd.DataFrame(
        {
            name: pd.Series(
                [values[at] for at in random.integers(0, len(values), rows)], dtype=object
            )
            for name, values in columns.items()
        }
    )


def test_the_counts_are_those_of_pandas(server: Server, table: pd.DataFrame, pipeline: Any) -> None:
    """Small and large requests of all protocols add up to what pandas counts in their rows."""
    parts = [strange(rows, seed) for seed, rows in enumerate([1, 1, 2, 7, 40, 2000])]
    records = [json.loads(part.to_json(orient="records")) for part in parts]
    split = json.loads(parts[3].to_json(orient="split", index=False))
    bodies = [
        ("/api/v1.0/predictions", {"jsonData": records[0]}),
        ("/api/v1.0/predictions", {"jsonData": records[1][0]}),
        (
            "/api/v1.0/predictions",
            {"data": {"names": [*parts[2]], "ndarray": parts[2].to_numpy().tolist()}},
        ),
        ("/invocations", {"dataframe_split": split}),
        ("/v1/models/model:predict", {"instances": records[4]}),
        ("/api/v1.0/predictions", {"jsonData": records[5]}),
    ]

    for path, body in bodies:
        answer = server.post(body, path)
        assert answer.status_code == 200, answer.text

    sent = pd.concat(parts)
    assert counts(server) == expected(table, sent, pipeline.predict(typed(sent)))


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the dtypes that the pipeline was trained on."""
    numbers = dict.fromkeys(NUMBERS + FLOORS, float)
    return table.astype(numbers).astype({"city": object}).where(table.notna(), np.nan)


def test_clients_at_the_same_time_are_counted_once_each(
    server: Server, table: pd.DataFrame, pipeline: Any
) -> None:
    """Batches, and batches that are compared with single calls, count each row once."""
    sent = strange(200, seed=9)
    records = json.loads(sent.to_json(orient="records"))

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda record: server.post({"jsonData": [record]}), records))

    assert {answer.status_code for answer in answers} == {200}
    assert counts(server) == expected(table, sent, pipeline.predict(typed(sent)))


def test_refused_requests_count_nowhere(server: Server) -> None:
    """Rows of a request with 400 or 404 are not counted, alone or in a batch."""
    good = {"age": 5, "income": 5e4, "floor": 1, "city": "Taipei"}
    refused = [
        [good | {"age": "old"}],
        [good, good | {"floor": 1.5}],
        [{"age": 5}],
        [good | {"city": 7}],
        [],
    ]

    for rows in refused:
        assert server.post({"jsonData": rows}).status_code == 400
    assert server.post({"jsonData": [good]}, "/nowhere").status_code == 404
    assert counts(server) == {}

    assert server.post({"jsonData": [good]}).status_code == 200
    assert counts(server).items() >= {"rows": 1, "age below_range": 1}.items()


def test_a_hostile_name_is_one_label(
    tmp_path: Path, table: pd.DataFrame, serve_model: Callable[..., Server]
) -> None:
    """A column's name cannot forge lines of the page, and a value is never on it."""
    names = [HOSTILE, "x" * 10_000]
    frame = table[NUMBERS].set_axis(names, axis=1)
    estimator = make_pipeline(MinMaxScaler(), LogisticRegression())
    joblib.dump(estimator.fit(frame, table["age"] > 50), tmp_path / "model.joblib")
    server = serve_model(tmp_path)

    body = {"data": {"names": names, "ndarray": [[1e9, 1e9], [40, 123456789.25]]}}
    assert server.post(body).status_code == 200

    assert (
        counts(server).items()
        >= {
            "rows": 2,
            f"{HOSTILE} above_range": 1,
            f"{'x' * 100}... (1) above_range": 2,
        }.items()
    )
    page = requests.get(f"{server.metrics}/metrics", timeout=60)
    assert page.headers["content-type"].startswith("text/plain")
    assert "123456789" not in page.text
    assert max(map(len, page.text.splitlines())) < 500


def test_a_setting_turns_the_metrics_off(tmp_path: Path, pipeline: Any, model_of: Any) -> None:
    """With `drift` off, there is no series and nothing is compared."""
    joblib.dump(pipeline, tmp_path / "model.joblib")
    with testing.serve(model_of(tmp_path), drift=False) as served:
        page = requests.get(f"{served.metrics}/metrics", timeout=60).text

    assert "prepackaged_batch_requests" in page
    assert "prepackaged_input" not in page
    assert "prepackaged_predicted" not in page


def test_workers_add_up(
    tmp_path: Path, pipeline: Any, monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame
) -> None:
    """Two processes count together what their clients sent, from 0 on."""
    monkeypatch.setenv("GUNICORN_WORKERS", "2")
    joblib.dump(pipeline, tmp_path / "model.joblib")
    sent = strange(40, seed=3)
    with serve(SERVER, model_uri=str(tmp_path)) as server:
        page = requests.get(f"{server.metrics}/metrics", timeout=60).text
        assert 'prepackaged_input_anomalies_total{column="age",kind="missing"} 0.0' in page
        for record in json.loads(sent.to_json(orient="records")):
            assert server.post({"jsonData": [record]}).status_code == 200

        assert counts(server) == expected(table, sent, pipeline.predict(typed(sent)))


@pytest.mark.parametrize("rows", [9, 10])
def test_samples_give_ranges_that_the_model_lacks(
    rows: int, tmp_path: Path, classifier: LogisticRegression, iris: Any
) -> None:
    """With 10 rows or more, samples give the ranges of columns; with fewer, nothing is counted."""
    joblib.dump(classifier, tmp_path / "model.joblib")
    (tmp_path / "samples").mkdir()
    for number, some in enumerate(np.array_split(iris.data[:rows], 3)):
        body = {"request": {"body": {"data": {"ndarray": some.tolist()}}}}
        (tmp_path / f"samples/{number}.json").write_text(json.dumps(body))

    with serve(SERVER, model_uri=str(tmp_path)) as server:
        assert counts(server) == {}
        answer = server.post({"data": {"ndarray": iris.data.tolist()}})
        assert answer.status_code == 200
        found = counts(server)

    known = iris.data[:rows] if rows >= 10 else iris.data
    below, above = (iris.data < known.min(0)).sum(0), (iris.data > known.max(0)).sum(0)
    assert {labels: value for labels, value in found.items() if "range" in labels} == {
        f"{place} {kind}": values[place]
        for kind, values in (("below_range", below), ("above_range", above))
        for place in range(4)
        if values[place]
    }
    assert found["rows"] == len(iris.data)


def test_values_that_pandas_treats_as_missing_are_missing() -> None:
    """NA, NaT, NaN and None in the rows of a Model's own `prepare` are missing, and not unknown."""
    column = Column("city", "text", categories=("a",))
    values = np.array([pd.NA, pd.NaT, math.nan, np.float64("nan"), None, "a", "b"], object)
    moments = pd.Series([pd.NaT, pd.Timestamp("2026-01-31")]).to_numpy()

    assert sorted(Anomalies([column])(Table((column,), (values,)).arrays)) == [
        (0, "missing", 5),
        (0, "unknown_category", 1),
    ]
    assert list(Anomalies([Column("day", "datetime")])([moments])) == [(0, "missing", 1)]
