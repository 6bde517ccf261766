"""Tests of casting a column's values to the types of the training data."""

import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepackaged import ClientError, Column
from prepackaged.casting import cast


def refusal(values: Any, column: Column) -> str:
    """Return the error message for values of a column named x."""
    with pytest.raises(ClientError) as caught:
        cast(values, column, "'x'")
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "expected"),
    [
        ("float64", [1, 2.5, True], "float64", [1.0, 2.5, 1.0]),
        ("float64", ["2", "-1e3", ".5"], "float64", [2.0, -1000.0, 0.5]),
        ("float64", np.array([1, 2]), "float64", [1.0, 2.0]),
        ("float32", [0.1], "float32", [np.float32(0.1)]),
        ("int64", [1623456789012345679, 2.0, "3"], "int64", [1623456789012345679, 2, 3]),
        ("int64", np.array([1.0, 2.0]), "int64", [1, 2]),
        ("bool", [True, 0, 1.0], "bool", [True, False, True]),
        ("text", ["a", ""], "object", ["a", ""]),
        ("text", np.array(["a", "bc"]), "object", ["a", "bc"]),
        ("any", [1, 2], "int64", [1, 2]),
        ("any", [1, 2.5], "float64", [1.0, 2.5]),
        ("any", [True, False], "bool", [True, False]),
        ("any", [True, 1], "object", [True, 1]),
        ("any", ["a", 1], "object", ["a", 1]),
    ],
)
def test_values_get_the_dtype_of_the_kind(
    kind: Any, values: Any, dtype: str, expected: list[Any]
) -> None:
    """Values are cast to the column's dtype, in any form that is exact."""
    array = cast(values, Column(kind=kind), "0")
    assert (array.dtype, array.tolist()) == (dtype, expected)


@pytest.mark.parametrize(
    ("kind", "missing", "expected"),
    [
        ("float64", None, math.nan),
        ("int64", None, math.nan),
        ("bool", None, None),
        ("text", None, None),
        ("text", math.nan, math.nan),
        ("category", None, None),
    ],
)
def test_null_becomes_the_missing_value_of_training(kind: Any, missing: Any, expected: Any) -> None:
    """Null becomes the training data's missing value: None or NaN, and always NaN for numbers."""
    (value,) = cast([None], Column(kind=kind, missing=missing), "0").tolist()
    assert value is expected or (value != value and expected != expected)


def test_dates_are_parsed() -> None:
    """Dates are parsed as ISO 8601, with or without a time; null is NaT."""
    array = cast(["2024-02-29", "2024-02-29T12:30:00Z", None], Column(kind="datetime"), "0")
    assert array.astype("datetime64[s]").astype(str).tolist() == [
        "2024-02-29T00:00:00",
        "2024-02-29T12:30:00",
        "NaT",
    ]


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("20200103", "2020-01-03"),
        ("2020-01-03 10:00", "2020-01-03T10:00"),
        ("2020-01-03T10:00:00.123456789Z", "2020-01-03T10:00:00.123456789"),
        ("1677-09-22", "1677-09-22"),
        ("2262-04-11", "2262-04-11"),
    ],
)
def test_dates_may_lack_dashes_and_times_may_have_fractions(text: str, iso: str) -> None:
    """Each form of ISO 8601 means its date and time, to the nanosecond."""
    assert cast([text], Column(kind="datetime"), "0").tolist() == [np.datetime64(iso, "ns").item()]


@pytest.mark.parametrize(
    "text", ["9999-12-31", "1500-01-01", "2262-04-12", "now", "today", "NaT", "", "202001031"]
)
def test_a_date_beyond_nanoseconds_is_refused(text: str) -> None:
    """A date that nanoseconds do not reach is refused, and so are words that NumPy knows."""
    why = f"row 0, column 'x': expected a date and time as in ISO 8601, got {text!r}"
    assert refusal([text], Column(kind="datetime")) == why


@pytest.mark.parametrize(
    ("kind", "value", "expected", "got"),
    [
        ("float64", "wide", "a number", "'wide'"),
        ("float64", "nan", "a number", "'nan'"),
        ("float64", "1_000", "a number", "'1_000'"),
        ("float64", [1], "a number", "[1]"),
        ("float64", 10**400, "a number", "1000"),
        ("int64", 2.5, "a whole number", "2.5"),
        ("int64", 2**63, "a whole number", "9223372036854775808"),
        ("int64", math.inf, "a whole number", "inf"),
        ("bool", 2, "true or false", "2"),
        ("bool", "true", "true or false", "'true'"),
        ("text", 1, "text", "1"),
        ("datetime", "yesterday", "a date and time as in ISO 8601", "'yesterday'"),
        ("datetime", 5, "a date and time as in ISO 8601", "5"),
    ],
)
def test_the_error_names_row_and_column_of_a_wrong_value(
    kind: Any, value: Any, expected: str, got: str
) -> None:
    """The error names the row, the column, the expected and the actual value."""
    good = {"bool": True, "text": "a", "datetime": "2024-01-01"}.get(kind, 1)
    message = refusal([good, value], Column(kind=kind))
    assert message.startswith(f"row 1, column 'x': expected {expected}, got {got}")


def test_a_long_value_is_truncated_in_the_message() -> None:
    """A long value is truncated in the error message."""
    assert len(refusal(["x" * 100_000], Column(kind="float64"))) < 120


def test_null_is_refused_if_the_model_refuses_it() -> None:
    """Null and NaN are refused if the column allows no missing values."""
    column = Column(kind="float64", nullable=False)
    for values in ([1.0, None], [1.0, math.nan], np.array([1.0, math.nan])):
        assert refusal(values, column) == "row 1, column 'x': expected a number, got null"


@pytest.mark.parametrize(
    ("kind", "known", "value"),
    [("text", ("a", "b"), "c"), ("int64", (1, 2), 3), ("bool", (True,), False)],
)
def test_an_unknown_category_is_refused_if_the_categories_are_complete(
    kind: Any, known: tuple[Any, ...], value: Any
) -> None:
    """Values outside the categories are refused only if the categories are complete."""
    shown = ", ".join(map(repr, known))
    closed = Column(kind=kind, categories=known, open=False)
    assert refusal([known[0], value], closed) == (
        f"row 1, column 'x': expected one of {shown}, got {value!r}"
    )
    assert cast([value], Column(kind=kind, categories=known), "'x'").tolist() == [value]


cells = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
)
kinds = st.sampled_from(["float64", "float32", "int64", "bool", "text", "category", "datetime"])


@given(values=st.lists(cells, min_size=1, max_size=4), kind=kinds, nullable=st.booleans())
@example(values=[1e300], kind="float32", nullable=False)
@example(values=[10**40, None], kind="float32", nullable=True)
def test_no_value_crashes_a_cast(values: list[Any], kind: Any, nullable: Any) -> None:
    """Any JSON values are either cast or refused with a ClientError."""
    with suppress(ClientError):
        assert cast(values, Column(kind=kind, nullable=nullable), "0").shape == (len(values),)
