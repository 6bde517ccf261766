from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prepackaged import ClientError, Column, Columns

COLUMNS = Columns(names=("age", "city", "fare"), count=3)


def test_a_frame_has_the_names_of_training_in_their_order() -> None:
    """Columns are matched by name and put in training order, whatever the request's order."""
    frame = COLUMNS.frame([["Paris", 7.5, 30]], ["city", "fare", "age"])
    expected = pd.DataFrame({"age": [30], "city": ["Paris"], "fare": [7.5]})
    pd.testing.assert_frame_equal(frame, expected)


def test_a_frame_gets_its_names_though_the_request_has_none() -> None:
    """Rows without names are matched by position and get the names of training."""
    frame = COLUMNS.frame(np.array([[1.0, 2.0, 3.0]]))
    expected = pd.DataFrame({"age": [1.0], "city": [2.0], "fare": [3.0]})
    pd.testing.assert_frame_equal(frame, expected)


@pytest.mark.parametrize(
    "payload",
    [
        [[30, "Paris", 7.5], [40, "Rome", 8.5]],
        np.array([[30, "Paris", 7.5], [40, "Rome", 8.5]], dtype=object),
        [{"fare": 7.5, "city": "Paris", "age": 30}, {"age": 40, "city": "Rome", "fare": 8.5}],
    ],
    ids=["rows", "array", "records"],
)
def test_every_column_has_a_dtype_of_its_own(payload: Any) -> None:
    """Numbers stay numbers although another column contains text."""
    expected = pd.DataFrame({"age": [30, 40], "city": ["Paris", "Rome"], "fare": [7.5, 8.5]})
    pd.testing.assert_frame_equal(COLUMNS.frame(payload), expected)


def test_a_single_record_is_a_frame_of_one_row() -> None:
    """A single record is accepted without a list around it."""
    frame = COLUMNS.frame({"city": "Paris", "fare": 7.5, "age": 30})
    expected = pd.DataFrame({"age": [30], "city": ["Paris"], "fare": [7.5]})
    pd.testing.assert_frame_equal(frame, expected)


def test_null_is_missing_in_numbers_and_in_text() -> None:
    """Null becomes a missing value as in pandas, and the column keeps its dtype."""
    frame = COLUMNS.frame([[None, "Paris", 7.5], [40, None, None]])
    assert frame.isna().to_numpy().tolist() == [[True, False, False], [False, True, True]]
    assert (frame["age"].dtype, frame["fare"].dtype) == (np.float64, np.float64)
    assert frame["city"][0] == "Paris"


def test_a_column_of_nulls_is_what_pandas_makes_of_it() -> None:
    """A column of nulls becomes what pandas makes of it if its kind in training is unknown."""
    rows = [[None, "Paris", 7.5], [None, "Rome", 8.5]]
    expected = pd.DataFrame(rows, columns=["age", "city", "fare"])
    pd.testing.assert_frame_equal(COLUMNS.frame(rows), expected)


def test_a_column_of_nulls_is_one_of_missing_numbers_where_training_had_numbers() -> None:
    """A column of nulls becomes float64 if the signature says that it has numbers."""
    columns = Columns.of([Column("age", "float64"), Column("city", "text")])
    frame = columns.frame([[None, "Paris"]])
    assert frame["age"].dtype == np.float64
    assert frame["age"].isna().all()


def test_integers_stay_integers() -> None:
    """Whole numbers keep dtype int64."""
    frame = COLUMNS.frame([[1, 2, 3]])
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "int64", "int64"]


def test_a_frame_is_refused_like_an_array() -> None:
    """Wrong column names and wrong row lengths raise ClientError for frames too."""
    with pytest.raises(ClientError, match="missing: fare; unknown: price"):
        COLUMNS.frame([{"age": 30, "city": "Paris", "price": 7.5}])
    with pytest.raises(ClientError, match="expected rows of 3 values, got rows of 2"):
        COLUMNS.frame([[30, "Paris"]])
    with pytest.raises(ClientError, match="expected rows of 3 values, got rows of 2"):
        Columns(names=("age", "city", "fare")).frame([[30, "Paris"]])


@settings(deadline=None, derandomize=True, database=None)
@given(st.permutations(["age", "city", "fare"]), st.booleans())
def test_any_order_of_named_columns_is_the_same_frame(order: list[str], as_record: Any) -> None:
    """The order of columns, or of a record's keys, does not change the frame."""
    record = {"age": 30, "city": "Paris", "fare": 7.5}
    sent = {name: record[name] for name in order}
    frame = COLUMNS.frame(sent) if as_record else COLUMNS.frame([list(sent.values())], order)
    pd.testing.assert_frame_equal(frame, pd.DataFrame([record]))
