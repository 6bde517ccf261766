from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
import requests
from fuzzing import findings
from serving import ROOT, Server, serve
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder


@pytest.mark.parametrize("kind", ["numbers", "table"])
def test_requests_made_of_the_document_are_answered_as_it_says(
    kind: str, classifier: LogisticRegression, people: pd.DataFrame, tmp_path: Path
) -> None:
    """The server answers generated requests as the OpenAPI document says, without 5xx errors."""
    columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(), ["city"]))
    table = make_pipeline(columns, LogisticRegression()).fit(people, [0, 1] * 3)
    joblib.dump(classifier if kind == "numbers" else table, tmp_path / "model.joblib")
    with serve(ROOT / "sklearn/server", model_uri=str(tmp_path)) as server:
        assert findings(server.url, tmp_path) == ""


def lengths(people: Any) -> Any:
    """An author's step that computes with a number and a text."""
    return pd.DataFrame({"age": people["age"] * 2, "length": people["city"].str.len()})


def fails(people: Any) -> Any:
    """An author's step that accepts nothing that could be made up."""
    return people["city"].map({"Tainan": 1, "Taipei": 2, "Hualien": 3}).to_numpy()[:, None]


@pytest.mark.parametrize(("step", "count"), [(lengths, 4), (fails, 0)])
def test_an_example_is_a_request_that_the_model_has_answered(
    step: Any,
    count: int,
    people: pd.DataFrame,
    tmp_path: Path,
    serve_model: Callable[..., Server],
) -> None:
    """Also where only an author's step knows the kinds; else there is no example."""
    people = people.fillna({"age": 1, "city": "Taipei"})
    model = make_pipeline(FunctionTransformer(step), LogisticRegression())
    joblib.dump(model.fit(people, [0, 1] * 3), tmp_path / "model.joblib")

    server = serve_model(tmp_path)
    paths = requests.get(f"{server.url}/openapi.json", timeout=30).json()["paths"]
    asked = {
        path: content["application/json"]["example"]
        for path, item in paths.items()
        if (content := item.get("post", {}).get("requestBody", {}).get("content"))
        and "example" in content["application/json"]
    }
    answers = [server.post(body, path).status_code for path, body in asked.items()]

    assert answers == [200] * count
