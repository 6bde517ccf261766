"""The signature of an MLflow model determines the types of columns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from prepackaged import ClientError, DeploymentError

# As MLflow 2 and 3 write it: the schema is JSON inside YAML.
MLMODEL = """\
flavors:
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
signature:
  inputs: '{inputs}'
"""
COLUMNS = [
    {"type": "double", "name": "fare", "required": True},
    {"type": "long", "name": "visits", "required": True},
    {"type": "double", "name": "age", "required": False},
]
TABLE = pd.DataFrame(
    {"fare": [0.5, 2, 4, 8], "visits": [1, 2, 3, 4], "age": [20.0, np.nan, 40, 50]}
)
IS_LATE = [0, 1, 0, 1]


def reciprocal(frame: Any) -> Any:
    """An author's step that would give zeros for whole numbers."""
    return np.nan_to_num(np.reciprocal(frame.to_numpy()))


@pytest.fixture
def model(tmp_path: Path, model_of: Callable[..., Any]) -> Any:
    """A pipeline without information about its columns, with MLflow's signature beside it."""
    pipeline = make_pipeline(FunctionTransformer(reciprocal), LogisticRegression())
    joblib.dump(pipeline.fit(TABLE, IS_LATE), tmp_path / "model.pkl")
    (tmp_path / "MLmodel").write_text(MLMODEL.format(inputs=json.dumps(COLUMNS)))
    return model_of(tmp_path)


def test_a_column_is_of_the_type_that_mlflow_wrote(model: Any) -> None:
    """A float column that is sent as 2 becomes the float 2.0."""
    got = model.predict([{"fare": 2, "visits": 3, "age": 40}])

    sent = pd.DataFrame({"fare": [2.0], "visits": [3], "age": [40.0]})
    np.testing.assert_array_equal(got, model.served.estimator.predict_proba(sent))
    assert model.signature.sources["inputs"] == "MLmodel"
    assert [column.kind for column in model.signature.inputs] == ["float64", "int64", "float64"]


def test_a_column_that_mlflow_says_is_optional_may_be_left_out(model: Any) -> None:
    """An optional column may be left out; its values are then missing."""
    got = model.predict([{"fare": 2, "visits": 3}])

    sent = pd.DataFrame({"fare": [2.0], "visits": [3], "age": [np.nan]})
    np.testing.assert_array_equal(got, model.served.estimator.predict_proba(sent))


def test_what_the_type_cannot_hold_is_refused(model: Any) -> None:
    """A value that the column's type cannot hold is refused, as in MLflow's server."""
    with pytest.raises(ClientError, match="row 0, column 'visits': expected a whole number, got 2"):
        model.predict([{"fare": 2, "visits": 2.5, "age": 40}])


def test_a_signature_that_is_not_mlflows_stops_the_start(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """An invalid signature stops the start instead of being ignored."""
    joblib.dump(LogisticRegression().fit([[1.0], [2]], [0, 1]), tmp_path / "model.pkl")
    (tmp_path / "MLmodel").write_text(MLMODEL.format(inputs="[{]"))
    with pytest.raises(DeploymentError, match="MLmodel has inputs that are no MLflow schema"):
        model_of(tmp_path)


@pytest.mark.parametrize(
    "columns", [["fare", "visits"], ["fare", "visits", "year"], ["fare", "visits", "age", "year"]]
)
def test_columns_that_the_model_contradicts_are_not_followed(
    tmp_path: Path,
    model_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    columns: list[str],
) -> None:
    """The model's own columns are served, and the log says what MLmodel has."""
    joblib.dump(LogisticRegression().fit(TABLE.fillna(30), IS_LATE), tmp_path / "model.pkl")
    written = [{"type": "double", "name": each} for each in columns]
    (tmp_path / "MLmodel").write_text(MLMODEL.format(inputs=json.dumps(written)))

    model = model_of(tmp_path)

    assert [each.name for each in model.signature.inputs] == list(TABLE)
    (warning,) = [each for each in caplog.messages if "MLmodel is ignored" in each]
    assert ", ".join(f"{each} (float64)" for each in columns) in warning


def test_the_models_own_columns_do_not_contradict_it(
    model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """MLmodel adds the types, of which the log says nothing."""
    assert model.signature.sources["inputs"] == "MLmodel"
    assert "not followed" not in caplog.text
