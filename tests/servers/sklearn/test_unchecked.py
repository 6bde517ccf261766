"""Pipelines that run on arrays without scikit-learn's checks give bit-identical results."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from prepackaged.estimators.served import ServedEstimator
from prepackaged.tables import Table

# Warnings that scikit-learn itself gives for such values.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning"),
    pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning"),
]

ROWS = 60
RANDOM = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {
        "age": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(4, 2, ROWS)),
        "fare": RANDOM.normal(0, 3, ROWS),
        "city": RANDOM.choice(["Taipei", "Tainan", "Hualien"], ROWS).tolist(),
        "way": RANDOM.choice(["air", "rail"], ROWS).tolist(),
    }
)
FRAME.loc[::7, "way"] = None
CLASSES = RANDOM.integers(0, 3, ROWS)
REQUESTS: list[list[dict[str, Any]]] = [
    [{"age": 31.5, "fare": -7.25, "city": "Tainan", "way": "air"}],
    [{"age": None, "fare": 12, "city": "Taipei", "way": None}],
    [{"way": "rail", "city": "Kaohsiung", "fare": 0.0, "age": -0.0}],
    [{"age": 1e300, "fare": 1e-300, "city": "", "way": "sea"}],
    [{"age": 40.0, "fare": math.inf, "city": "Taipei", "way": "air"}],
    FRAME.iloc[:40].astype(object).where(FRAME.notna(), None).to_dict("records"),
]
IDS = ["row", "null", "unknown", "extreme", "infinite", "batch"]
NUMBERS: dict[str, Any] = {
    "imputed and scaled": make_pipeline(SimpleImputer(), StandardScaler()),
    "imputed by a constant": SimpleImputer(strategy="constant", fill_value=-1.0),
    "with indicators": SimpleImputer(add_indicator=True),
    "not centred": make_pipeline(SimpleImputer(), StandardScaler(with_mean=False)),
    "not scaled": make_pipeline(SimpleImputer(), StandardScaler(with_std=False)),
    "scaled otherwise": make_pipeline(SimpleImputer(), MaxAbsScaler()),
}
TEXTS: dict[str, Any] = {
    "imputed": make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    ),
    "missing is a category": OneHotEncoder(handle_unknown="ignore"),
    "dense": OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
    "first left out": OneHotEncoder(handle_unknown="ignore", drop="first"),
    "rare ones together": OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=22),
}
MODELS: dict[str, Any] = {
    "two classes": LogisticRegression(),
    "three classes": LogisticRegression(),
    "one class against the rest": SGDClassifier(random_state=0),
    "support vectors": LinearSVC(),
    "regression": LinearRegression(),
    "ridge regression": Ridge(),
    "forest": RandomForestClassifier(10, random_state=0),
    "forest of regressors": RandomForestRegressor(10, random_state=0),
    "random splits": ExtraTreesClassifier(10, random_state=0),
    "random splits of regressors": ExtraTreesRegressor(10, random_state=0),
}


def fitted(numbers: Any, texts: Any, model: Any, classes: Any = CLASSES) -> Any:
    """A fitted pipeline: transformers for number and text columns, then the model."""
    columns = [
        ("numbers", clone(numbers), ["age", "fare"]),
        ("texts", clone(texts), ["city", "way"]),
    ]
    return make_pipeline(ColumnTransformer(columns), clone(model)).fit(FRAME, classes)


def outcome(call: Callable[[Any], Any], rows: Any) -> Any:
    """The answer with its dtype, or the error's text."""
    try:
        answer = call(rows)
    except ValueError as error:
        return str(error)
    return answer.dtype, answer.tolist()


def assert_same(pipeline: Any, request: Any) -> None:
    """Check that every method on arrays gives what the pipeline gives for the DataFrame."""
    served = ServedEstimator(pipeline)
    prepared = served.prepare(request)
    assert isinstance(prepared, Table)
    assert served._compiled
    for method, compiled in served._compiled.items():
        assert compiled._fast is not None, method
        compiled._checks = 0  # else the next calls would use the DataFrame
        expected = outcome(getattr(pipeline, method), prepared.frame())
        assert outcome(compiled, prepared) == expected, method


@pytest.mark.parametrize("rows", REQUESTS, ids=IDS)
@pytest.mark.parametrize(
    ("numbers", "texts"), [*product(NUMBERS, ["imputed"]), *product(["imputed and scaled"], TEXTS)]
)
def test_transformers_compute_the_same(numbers: str, texts: str, rows: Any) -> None:
    """Each transformer, and each sequence of them, gives the same result."""
    assert_same(fitted(NUMBERS[numbers], TEXTS[texts], MODELS["three classes"]), rows)


@pytest.mark.parametrize("rows", REQUESTS, ids=IDS)
@pytest.mark.parametrize("model", MODELS)
def test_models_compute_the_same(model: str, rows: Any) -> None:
    """All methods of each model give the same result, also those that call another method."""
    classes = CLASSES % 2 if model == "two classes" else CLASSES
    assert_same(
        fitted(NUMBERS["imputed and scaled"], TEXTS["imputed"], MODELS[model], classes), rows
    )
