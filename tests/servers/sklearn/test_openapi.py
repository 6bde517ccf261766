from pathlib import Path

import joblib
import pandas as pd
import pytest
from fuzzing import findings
from serving import ROOT, serve
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


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
