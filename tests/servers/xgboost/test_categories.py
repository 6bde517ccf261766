"""Categories of pandas that reach a booster behind scikit-learn's own steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

pytestmark = pytest.mark.usefixtures("since_3_1")

MLMODEL = """
flavors:
  sklearn:
    pickled_model: model.joblib
signature:
  inputs: '{inputs}'
"""
COLUMNS = [
    {"type": "string", "name": "city", "required": True},
    {"type": "long", "name": "district", "required": True},
    {"type": "double", "name": "area", "required": True},
]


def small() -> XGBClassifier:
    """A small classifier of tables with categories."""
    return XGBClassifier(n_estimators=3, max_depth=2, enable_categorical=True)


def agrees(model: Any, estimator: Any, flats: pd.DataFrame) -> None:
    """Check that records get the estimator's own answer."""
    records = flats.astype({"city": str, "district": int}).to_dict("records")
    assert np.array_equal(model.predict(records), estimator.predict_proba(flats))


def test_categories_pass_a_column_transformer_that_makes_frames(
    flats: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Columns that a ColumnTransformer hands on in a DataFrame keep the booster's categories."""
    columns = make_column_transformer((StandardScaler(), ["area"]), remainder="passthrough")
    pipeline = make_pipeline(columns.set_output(transform="pandas"), small())
    joblib.dump(pipeline.fit(flats, flats["area"] > 60), tmp_path / "model.joblib")

    agrees(model_of(tmp_path), pipeline, flats)


ESTIMATORS = {
    "pipeline": make_pipeline("passthrough", small()),
    "calibrated": CalibratedClassifierCV(small(), cv=2),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_categories_stay_such_where_mlflow_says_text(
    name: str, flats: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """MLflow has no type for categories: what it calls text or numbers are the model's own."""
    estimator = ESTIMATORS[name].fit(flats, flats["area"] > 60)
    joblib.dump(estimator, tmp_path / "model.joblib")
    (tmp_path / "MLmodel").write_text(MLMODEL.format(inputs=json.dumps(COLUMNS)))

    agrees(model_of(tmp_path), estimator, flats)
