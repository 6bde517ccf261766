"""Generated pipelines and tables: the server answers all request forms as scikit-learn does.

The reference is the pipeline itself, called with a DataFrame with the dtypes of training.
"""

import json
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from prepackaged import ClientError, ModelError
from prepackaged.server.protocols.seldon.json_codec import decode

ROWS = 40
TARGET = np.arange(ROWS) % 2
UNKNOWN = "never seen"


class Lengths(TransformerMixin, BaseEstimator):
    """An author's step: the length of each value as text, which shows if ints became floats."""

    def fit(self, X: Any, y: Any = None) -> "Lengths":
        """Only mark the step as fitted."""
        self.is_fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        """The length of each value as text."""
        return np.array([[len(str(value)) for value in row] for row in np.asarray(X, object)])


def texts_of(frame: Any) -> Any:
    """An author's function whose result shows whether numbers are whole."""
    return frame.map(lambda value: len(str(value)))


def numbers(dtype: str, missing: float | None = None) -> pd.Series:
    """A column of numbers, with missing values if allowed."""
    values = pd.Series(np.random.default_rng(ROWS).integers(1, 9, ROWS).astype(dtype))
    if missing is not None:
        values[::7] = missing
    return values


def words(dtype: Any, missing: Any = "") -> pd.Series:
    """A column of few distinct words, with missing values if allowed."""
    cities = np.random.default_rng(ROWS).choice(["Taipei", "Tainan", "Hualien"], ROWS)
    values = pd.Series(cities, dtype=object)
    if missing != "":
        values[::7] = missing
    return values.astype(dtype)


COLUMNS: dict[str, Callable[[], pd.Series]] = {
    "float": lambda: numbers("float64"),
    "float or NaN": lambda: numbers("float64", np.nan),
    "float32": lambda: numbers("float32"),
    "int": lambda: numbers("int64"),
    "bool": lambda: pd.Series(np.random.default_rng(ROWS).random(ROWS) > 0.5),
    "str": lambda: words("str"),
    "str or NaN": lambda: words("str", np.nan),
    "object": lambda: words(object),
    "object or None": lambda: words(object, None),
    "object or NaN": lambda: words(object, np.nan),
    "flag or None": lambda: pd.Series([True, False, None, True] * (ROWS // 4), dtype=object),
    "category": lambda: words("category"),
}
NUMERIC = ("float", "float or NaN", "float32", "int", "bool")
ENCODERS: list[Callable[[], Any]] = [
    lambda: OneHotEncoder(handle_unknown="ignore"),
    OneHotEncoder,
    lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2),
    lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    OrdinalEncoder,
    TargetEncoder,
    lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
    lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ),
    Lengths,
]
NONE_ENCODERS: list[Callable[[], Any]] = [
    *ENCODERS,
    lambda: make_pipeline(
        SimpleImputer(missing_values=None, strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore"),
    ),
]
SCALERS: list[Callable[[], Any]] = [
    StandardScaler,
    MinMaxScaler,
    RobustScaler,
    lambda: "passthrough",
    lambda: make_pipeline(SimpleImputer(), StandardScaler()),
    lambda: make_pipeline(SimpleImputer(add_indicator=True), PolynomialFeatures(2)),
    lambda: KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
    lambda: FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())]),
    lambda: FunctionTransformer(texts_of),
    lambda: OneHotEncoder(handle_unknown="ignore"),
    Lengths,
]
MODELS: list[Callable[[], Any]] = [
    LogisticRegression,
    lambda: HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=2),
    lambda: DecisionTreeClassifier(random_state=0),
    lambda: RandomForestClassifier(3, random_state=0),
]


@st.composite
def fitted(draw: Any) -> tuple[Any, pd.DataFrame]:
    """A pipeline and the table that it was trained on."""
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    table = pd.DataFrame({f"{kind} {at}": COLUMNS[kind]() for at, kind in enumerate(kinds)})
    steps = []
    for name, kind in zip(table.columns, kinds, strict=True):
        encoders = NONE_ENCODERS if kind.endswith("None") else ENCODERS
        step = draw(st.sampled_from(SCALERS if kind in NUMERIC else encoders))()
        steps.append((name, step, [name]))
    table["unused"] = "x"
    if draw(st.booleans()):
        table["note"] = np.random.default_rng(ROWS).choice(["a long walk", "a walk", "long"], ROWS)
        steps.append(("note", TfidfVectorizer(), "note"))
    pipeline = make_pipeline(ColumnTransformer(steps), draw(st.sampled_from(MODELS))())
    return pipeline, table


def value_of(value: Any) -> Any:
    """A cell as JSON; whole floats become integers, as JavaScript writes them."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    value = getattr(value, "item", lambda: value)()
    return int(value) if isinstance(value, float) and value.is_integer() else value


@st.composite
def rows_of(draw: Any, table: pd.DataFrame) -> list[list[Any]]:
    """Rows of the table as JSON, sometimes with a null or an unknown word."""
    chosen = draw(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=4))
    rows = [[value_of(value) for value in table.iloc[row].tolist()] for row in chosen]
    if draw(st.booleans()):
        row, column = draw(st.sampled_from(rows)), draw(st.integers(0, table.shape[1] - 1))
        is_word = isinstance(row[column], str) and draw(st.booleans())
        row[column] = UNKNOWN if is_word else None
    return rows


def as_trained(rows: list[list[Any]], table: pd.DataFrame) -> pd.DataFrame:
    """The rows as a DataFrame with the dtypes of training where these can hold the values."""
    series = {}
    for at, (name, dtype) in enumerate(table.dtypes.items()):
        values = [row[at] for row in rows]
        missing = None if any(value is None for value in table[name]) else np.nan
        values = [missing if value is None else value for value in values]
        holds_null = any(value is None or value != value for value in values)
        if holds_null and dtype.kind in "ib":
            series[name] = pd.Series(values)
        else:
            series[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(series)


def forms(rows: list[list[Any]], names: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the same rows in every form that a client may send."""
    records = [dict(zip(names, row, strict=True)) for row in rows]
    yield "records", {"jsonData": records}
    yield "shuffled records", {"jsonData": [dict(reversed(each.items())) for each in records]}
    yield "more columns", {"jsonData": [{"id": 7, **each} for each in records]}
    yield "fewer columns", {"jsonData": [less(each, "unused") for each in records]}
    yield "columns", {"jsonData": {name: [each[name] for each in records] for name in names}}
    yield "split", {"jsonData": {"columns": names, "data": rows}}
    yield "rows", {"data": {"ndarray": rows}}
    yield "named rows", {"data": {"names": names, "ndarray": rows}}
    yield "shuffled rows", {"data": {"names": names[::-1], "ndarray": [row[::-1] for row in rows]}}
    if len(rows) == 1:
        yield "record", {"jsonData": records[0]}


def less(record: dict[str, Any], name: str) -> dict[str, Any]:
    """The record without the column of that name."""
    return {key: value for key, value in record.items() if key != name}


def answer_to(model: Any, message: Any) -> Any:
    """The model's answer to a JSON message, or the error it raised."""
    request = decode(json.loads(json.dumps(message)), as_lists=model.inputs.takes_lists)
    try:
        return model.predict(model.prepare(request.value, request.names))
    except (ClientError, ModelError) as error:
        return error


def traceback_of(error: Exception) -> str:
    """The traceback of an error as text, with the names of the files."""
    return "".join(traceback.format_tb(error.__traceback__))


@pytest.mark.filterwarnings("ignore")  # scikit-learn's warnings about unknown categories
@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    phases=[Phase.generate],  # shrinking takes minutes, and the first example suffices
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data())
def test_every_form_of_a_request_is_answered_as_scikit_learn_answers_a_data_frame(
    data: Any,
) -> None:
    """The answer equals scikit-learn's, or is refused if scikit-learn refuses the same rows."""
    from prepackaged.estimators.served import ServedEstimator

    pipeline, table = data.draw(fitted())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline.fit(table, TARGET)
    except (TypeError, ValueError):
        return  # this pipeline does not fit these columns
    rows = data.draw(rows_of(table))
    model = ServedEstimator(pipeline)
    try:
        expected = pipeline.predict_proba(as_trained(rows, table))
    except (TypeError, ValueError, AttributeError) as error:
        expected = error

    for form, message in forms(rows, list(table.columns)):
        answer = answer_to(model, message)
        if isinstance(expected, Exception):
            is_own = "test_generated_tables" in traceback_of(expected)
            kind = (ClientError, ModelError) if is_own else ClientError
            assert isinstance(answer, kind), (form, rows, expected)
        else:
            assert isinstance(answer, np.ndarray), (form, rows, answer)
            np.testing.assert_allclose(answer, expected, rtol=1e-12, err_msg=form)
