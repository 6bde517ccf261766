"""Encoders whose categories JSON has no values for, and encoders of missing values."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from prepackaged import ClientError

IS_LATE = [0, 1, 0, 1, 1, 0]
FARES = [1.0, 5, 2, 4, 6, 3]
DAYS = pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02", "2020-02-01"] * 2))

ENCODERS = {
    "ignore": OneHotEncoder(handle_unknown="ignore"),
    "error": OneHotEncoder(),
    "ordinal": OrdinalEncoder(),
}
NOT_OF_JSON = {
    "interval": pd.cut(pd.Series(FARES), 3),
    "period": DAYS.dt.to_period("M"),
    "date": pd.Series([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)] * 3),
    "decimal": pd.Series([Decimal("1.5"), Decimal(2), Decimal(3)] * 2),
    "zone": DAYS.dt.tz_localize("UTC"),
    "timedelta": DAYS - DAYS[0],
    "bytes": pd.Series([b"a", b"b", b"c"] * 2),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", NOT_OF_JSON)
def test_a_category_that_json_has_no_value_for_is_refused(
    post_to: Callable[..., Any], name: str, encoder: str
) -> None:
    """A server starts with such categories and never takes a value for an unknown one."""
    table = pd.DataFrame({"x": NOT_OF_JSON[name], "fare": FARES})
    columns = make_column_transformer((ENCODERS[encoder], ["x"]), remainder="passthrough")
    post = post_to(make_pipeline(columns, LogisticRegression()).fit(table, IS_LATE))

    status, answer = post({"jsonData": [{"x": str(table.x[0]), "fare": 1.0}]})

    assert status == 400
    expected = "row 0, column 'x': expected one of the model's categories, of which none is a JSON"
    assert answer["status"]["info"].startswith(expected)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_days_as_categories_are_read_as_days(
    post_to: Callable[..., Any], unit: str, encoder: str
) -> None:
    """Dates and times in ISO 8601 are the categories of an encoder that was trained on such."""
    table = pd.DataFrame({"day": DAYS.astype(f"datetime64[{unit}]"), "fare": FARES})
    columns = make_column_transformer((ENCODERS[encoder], ["day"]), remainder="passthrough")
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, IS_LATE)

    status, answer = post_to(pipeline)({"jsonData": [{"day": "2020-01-02", "fare": 2.0}]})

    sent = table[1:2].assign(fare=2.0)
    assert status == 200
    np.testing.assert_allclose(
        answer["data"]["tensor"]["values"], pipeline.predict_proba(sent).ravel()
    )


def test_days_without_names_are_read_as_days(served: Callable[..., Any]) -> None:
    """A table without names keeps its dates, also beside numbers."""
    table = pd.DataFrame({0: DAYS, 1: FARES})
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, [0]), remainder="passthrough")
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, IS_LATE)
    alone = make_pipeline(encoder, LogisticRegression()).fit(table[[0]].to_numpy(), IS_LATE)

    answer = served(pipeline)({"data": {"ndarray": [["2020-01-02", 5.0]]}})
    np.testing.assert_allclose(answer, pipeline.predict_proba(table[1:2]))
    answer = served(alone)({"data": {"ndarray": [["2020-01-02"]]}})
    np.testing.assert_allclose(answer, alone.predict_proba(table[[0]][1:2].to_numpy()))


MISSING = {
    "none": pd.Series(["a", None, "b"] * 2, dtype=object),
    "float": pd.Series([1.0, None, 2.0] * 2),
    "integer": pd.Series([1, None, 2] * 2, dtype="Int64"),
    "boolean": pd.Series([True, None, False] * 2, dtype="boolean"),
}


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.parametrize("parameters", [{}, {"handle_unknown": "use_encoded_value"}])
def test_an_encoder_of_missing_values_gets_them(
    served: Callable[..., Any], name: str, parameters: dict[str, Any]
) -> None:
    """A null reaches an encoder that has a number for it, whatever the later steps accept."""
    if parameters:
        parameters = {**parameters, "unknown_value": -2}
    encoder = OrdinalEncoder(encoded_missing_value=-1, **parameters)
    table = pd.DataFrame({"x": MISSING[name]})
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(table, IS_LATE)

    answer = served(pipeline)({"jsonData": [{"x": None}]})

    np.testing.assert_allclose(answer, pipeline.predict_proba(table[1:2]))


def test_an_unknown_missing_value_gets_the_number_of_unknown_ones(
    served: Callable[..., Any],
) -> None:
    """An encoder that has a number for unknown values gives it for a null, too."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    table = pd.DataFrame({"x": list("abcabc")})
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(table, IS_LATE)

    answer = served(pipeline)({"jsonData": [{"x": None}]})

    np.testing.assert_allclose(answer, pipeline.predict_proba(pd.DataFrame({"x": [None]})))


def test_an_encoder_that_passes_missing_values_on_does_not_get_them(
    served: Callable[..., Any],
) -> None:
    """A null is refused where it would be NaN to a model that does not accept it."""
    table = pd.DataFrame({"x": ["a", None, "b"] * 2, "fare": FARES})
    columns = make_column_transformer((OrdinalEncoder(), ["fare"]), remainder="drop")
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, IS_LATE)

    with pytest.raises(ClientError, match=r"expected one of 1\.0, 2\.0"):
        served(pipeline)({"jsonData": [{"fare": None}]})


OBJECTS = {
    "whole numbers and None": [1, 2, None],
    "whole numbers": [1, 2, 3],
    "numbers": [1, 2.5, 3],
    "numbers and NaN": [1.5, 2.5, np.nan],
    "flags and None": [True, False, None],
    "flags and NaN": [True, False, np.nan],
}
LENIENT = {
    "one-hot": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "target": TargetEncoder(cv=2),
}


@pytest.mark.parametrize("encoder", LENIENT)
@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("is_named", [True, False])
def test_numbers_in_a_column_of_objects_are_objects(
    served: Callable[..., Any], name: str, encoder: str, *, is_named: bool
) -> None:
    """An encoder of numbers as Python's objects gets such objects, which it compares them with."""
    values = pd.Series(OBJECTS[name] * 2, dtype=object)
    table = pd.DataFrame({"x": values}) if is_named else values.to_numpy().reshape(-1, 1)
    model = LENIENT[encoder].fit(table, IS_LATE)
    answer = served(model, method="transform")

    others = () if "flags" in name else (7, "2")
    for value in (*OBJECTS[name], *others):
        null = None if value is None or value != value else value
        got = answer({"data": {"ndarray": [[null]]}})
        sent = pd.DataFrame({"x": pd.Series([2 if value == "2" else value], dtype=object)})
        expected = model.transform(sent if is_named else sent.to_numpy())
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(ClientError, match=r"expected (a number|true or false), got 'two'"):
        answer({"data": {"ndarray": [["two"]]}})


@pytest.mark.parametrize("encoder", LENIENT)
def test_whole_numbers_beyond_63_bits_are_categories(
    served: Callable[..., Any], encoder: str
) -> None:
    """Unsigned numbers of 64 bits keep all digits, also beside small ones."""
    values = np.array([2**63 + 5, 7, 2**64 - 1] * 2, np.uint64)
    model = LENIENT[encoder].fit(pd.DataFrame({"id": values}), IS_LATE)
    sent = [7, 2**63 + 5, 2**63 + 6, 2**64 - 1]

    answer = served(model, method="transform")({"jsonData": [{"id": each} for each in sent]})

    table = pd.DataFrame({"id": np.array(sent, np.uint64)})
    np.testing.assert_array_equal(answer, model.transform(table))


BEFORE_A_MODEL = {
    "ordinal": OrdinalEncoder(),
    "imputed": SimpleImputer(missing_values=None, strategy="most_frequent"),
    "by a text": make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder()),
}


@pytest.mark.parametrize("name", BEFORE_A_MODEL)
def test_none_is_sent_to_what_knows_none(served: Callable[..., Any], name: str) -> None:
    """None is a category, or is filled, even if the model behind takes no missing values."""
    table = pd.DataFrame({"x": pd.Series([1, 2, None] * 2, dtype=object)})
    columns = make_column_transformer((BEFORE_A_MODEL[name], ["x"]))
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, IS_LATE)
    answer = served(pipeline)

    for value in (1, None):
        sent = pd.DataFrame({"x": [value]}, dtype=object)
        got = answer({"jsonData": [{"x": value}]})
        np.testing.assert_array_equal(got, pipeline.predict_proba(sent))


def test_thousands_of_categories_stay_objects(served: Callable[..., Any]) -> None:
    """Numbers and NaN that an encoder learned as objects are compared as objects."""
    values = np.array([*range(1500), *[np.nan] * 30], dtype=object)
    table = pd.DataFrame({"code": values})
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code"]))
    model = make_pipeline(encode, LogisticRegression()).fit(table, np.arange(len(table)) % 2)
    answer = served(model)

    for value in (7, 1499, None, 5000, 2.5):
        row = pd.DataFrame({"code": np.array([np.nan if value is None else value], dtype=object)})
        got = answer({"jsonData": [{"code": value}]})
        np.testing.assert_array_equal(got, model.predict_proba(row))
