import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepackaged import ClientError, Columns, find_cell, texts

ANY = Columns()
NAMED = Columns(names=("age", "city", "fare"), count=3)


def refusal(payload: Any, names: Any = None, columns: Columns = ANY) -> str:
    """The message that a client gets for a payload."""
    with pytest.raises(ClientError) as caught:
        columns.array(payload, names)
    return str(caught.value)


# Values


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool"])
def test_a_numeric_array_passes_untouched(dtype: str) -> None:
    """An array that is numeric already is neither copied nor converted."""
    payload = np.zeros((2, 3), dtype=dtype)
    assert ANY.array(payload) is payload


@pytest.mark.parametrize(
    ("rows", "dtype"),
    [
        ([[1, 2], [3, 4]], "int64"),
        ([[1, 2.5]], "float64"),
        ([[True, False]], "bool"),
        ([[True, 1]], "int64"),
        ([[2**63]], "uint64"),
        ([[1, None]], "float64"),
        ([[None], [None]], "float64"),
        ([[10**20]], "float64"),
        ([[1, "a"]], "object"),
    ],
)
def test_rows_get_the_narrowest_fitting_dtype(rows: list[list[Any]], dtype: str) -> None:
    """Integers stay integers, null and fractions make floats, text makes objects."""
    assert ANY.array(rows).dtype == dtype


def test_rows_keep_their_values() -> None:
    """JSON rows become an array of the same numbers in the same places."""
    assert ANY.array([[1, 2, 3], [4, 5, 6]]).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_null_is_nan() -> None:
    """A null among numbers is the missing number."""
    answer = ANY.array([[1, None], [2.5, 3]])
    assert answer[0, 0] == 1.0
    assert math.isnan(answer[0, 1])
    assert answer[1].tolist() == [2.5, 3.0]


def test_null_in_an_object_array_is_nan() -> None:
    """The same holds for the arrays that a microservice makes of such rows."""
    answer = ANY.array(np.array([[1, None]], dtype=object))
    assert answer.dtype == np.float64
    assert math.isnan(answer[0, 1])


def test_mixed_rows_keep_the_type_of_every_value() -> None:
    """One text does not turn its neighbours into texts."""
    (row,) = ANY.array([[1, "Paris", None, True, 2.5]]).tolist()
    assert (row[0], row[1], row[3], row[4]) == (1, "Paris", True, 2.5)
    assert math.isnan(row[2])
    assert [type(value) for value in row] == [int, str, float, bool, float]


def test_texts_that_look_like_numbers_stay_texts() -> None:
    """Whoever sends "1" gets it treated as text: the client knows its types, we do not."""
    assert ANY.array(np.array([["1", "2"]])).tolist() == [["1", "2"]]


def test_an_integer_beyond_64_bits_becomes_a_float() -> None:
    """A number that no integer type holds is rounded as JSON readers do."""
    assert ANY.array([[2**70, None]])[0, 0] == 1180591620717411303424.0


@pytest.mark.parametrize("rows", [[[10**400]], [[1.5, -(10**400)]], [[None, 10**400]]])
def test_an_integer_beyond_floating_point_is_refused(rows: list[list[Any]]) -> None:
    """A number that no float holds is the client's mistake."""
    assert refusal(rows) == "expected numbers within 64-bit floating point; one is larger"


def test_nan_and_infinity_are_left_to_the_model() -> None:
    """Some models take them, so they are not refused here."""
    assert ANY.array([[math.inf, -math.inf]]).tolist() == [[math.inf, -math.inf]]
    assert math.isnan(ANY.array([[math.nan]])[0, 0])


numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
cells = numbers | st.none() | st.text(max_size=3)


@given(st.lists(st.tuples(cells, cells).map(list), min_size=1, max_size=4))
def test_any_plain_table_is_accepted(rows: list[list[Any]]) -> None:
    """Whatever plain values JSON can hold, the array has one cell for each of them."""
    answer = ANY.array(rows)
    assert answer.shape == (len(rows), 2)
    if any(isinstance(value, str) for row in rows for value in row):
        assert answer.dtype == object
    else:
        assert answer.dtype.kind in "biuf"


@given(st.lists(st.tuples(cells, cells).map(list), min_size=1, max_size=4))
def test_null_and_nothing_else_becomes_nan(rows: list[list[Any]]) -> None:
    """A cell is NaN after the conversion exactly where it was null before."""
    answer = ANY.array(rows).tolist()
    assert [[value != value for value in row] for row in answer] == [
        [value is None for value in row] for row in rows
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_no_payload_at_all_crashes(payload: Any, names: Any) -> None:
    """Any JSON, as rows or as names, is either a table of two dimensions or a client's mistake."""
    with suppress(ClientError):
        assert NAMED.array(payload, names).ndim == 2


@given(json_values)
def test_no_payload_crashes_the_search_for_texts(payload: Any) -> None:
    """Any JSON is either strings or not."""
    answer = texts(payload)
    assert answer is None or all(type(text) is str for text in answer)


# Shapes


def test_one_dimension_is_refused_with_the_way_out() -> None:
    """The most common mistake, a row without its outer brackets, is answered with the fix."""
    assert refusal([1, 2]) == (
        "expected rows of values, an array of 2 dimensions, got shape [2];"
        " one row goes into two brackets: [[...]]"
    )


def test_three_dimensions_are_refused_with_their_shape() -> None:
    """A tensor of another rank is answered with its shape."""
    assert refusal(np.zeros((1, 2, 3))) == (
        "expected rows of values, an array of 2 dimensions, got shape [1, 2, 3]"
    )


def test_no_dimension_is_refused_with_its_shape() -> None:
    """A tensor of shape [] is a number, not a table."""
    assert refusal(np.array(5.0)).endswith(", got shape []")


@pytest.mark.parametrize(
    ("payload", "shape"),
    [
        (np.zeros((0, 3)), "[0, 3]"),
        (np.zeros((2, 0)), "[2, 0]"),
        ([[], []], "[2, 0]"),
        ({}, "[1, 0]"),
        ([{}, {}], "[2, 0]"),
    ],
)
def test_an_empty_table_is_refused(payload: Any, shape: str) -> None:
    """The errors for rows without columns and columns without rows contain the shape."""
    assert refusal(payload) == f"expected at least one row and one column, got shape {shape}"


def test_an_empty_list_is_refused() -> None:
    """A batch of nothing has nothing to answer."""
    message = refusal([])
    assert message == "expected rows of values, an array of 2 dimensions, got shape [0]"


@pytest.mark.parametrize(
    ("rows", "got"),
    [
        ([[1, 2], [3]], "row 0 has 2 values, row 1 has 1 value"),
        ([[1, 2], [3, 4], []], "row 0 has 2 values, row 2 has 0 values"),
        ([[1, 2], 3], "row 0 has 2 values, row 1 has a single value"),
        ([1, [2]], "row 0 has a single value, row 1 has 1 value"),
    ],
)
def test_ragged_rows_name_the_first_that_differs(rows: list[Any], got: str) -> None:
    """The row whose length differs is named with both lengths."""
    assert refusal(rows) == f"expected rows of equal length; {got}"


@pytest.mark.parametrize(
    "payload",
    [
        [[[1, 2], 3]],
        [[[1, 2], [3, 4]]],
        [[{"a": 1}]],
        [[[]]],
        np.array([[{"a": 1}]], dtype=object),
    ],
)
def test_a_list_or_an_object_in_a_cell_is_refused(payload: Any) -> None:
    """A cell holds one plain value."""
    assert refusal(payload) == "expected rows of plain values; a row holds a list or an object"


@pytest.mark.parametrize("payload", [[{"a": [1, 2]}], {"a": {"b": 1}}])
def test_a_list_or_an_object_in_a_record_is_refused(payload: Any) -> None:
    """A record's values are as plain as a row's."""
    with pytest.raises(ClientError, match="a row holds a list or an object"):
        Columns(names=("a",)).array(payload)


@pytest.mark.parametrize("payload", [{"a": 1, "b": 2}, [{"a": 1, "b": 2}]])
def test_records_need_a_model_that_knows_names(payload: Any) -> None:
    """The order of an object's keys says nothing, so nothing is guessed from it."""
    assert refusal(payload) == (
        "expected rows in the order of training: this model knows no column names,"
        " got records with a, b"
    )


@pytest.mark.parametrize(
    ("payload", "got"),
    [
        (b"\x93NUMPY", "binData"),
        ("1,2,3", "a string"),
        (5, "a number"),
        (2.5, "a number"),
        (True, "a boolean"),
        (None, "null"),
    ],
)
def test_what_is_no_table_is_refused_by_its_kind(payload: Any, got: str) -> None:
    """Bytes, text, numbers and nothing are answered with what would have been a table."""
    assert refusal(payload) == (
        f"expected rows of values in data.ndarray, data.tensor or jsonData, got {got}"
    )


@pytest.mark.parametrize("columns", [Columns(count=2), Columns(names=("a", "b"))])
def test_a_wrong_number_of_columns_names_both_numbers(columns: Columns) -> None:
    """The message has what the model was trained on and what it got."""
    assert refusal(np.zeros((4, 3)), columns=columns) == (
        "expected rows of 2 values, got rows of 3 (shape [4, 3])"
    )


# Names


def test_named_columns_are_put_in_the_order_of_training() -> None:
    """The order in a request is the client's own affair."""
    answer = NAMED.array(np.array([[1.0, 2.0, 3.0]]), ["fare", "age", "city"])
    assert answer.tolist() == [[2.0, 3.0, 1.0]]


def test_columns_without_names_are_in_the_order_of_training() -> None:
    """Names may be left out: then the position counts."""
    assert NAMED.array([[1, 2, 3]]).tolist() == [[1, 2, 3]]
    assert NAMED.array([[1, 2, 3]], []).tolist() == [[1, 2, 3]]


def test_names_are_ignored_by_a_model_that_knows_none() -> None:
    """A model trained on a plain array goes by position, whatever the columns are called."""
    assert Columns(count=2).array([[1, 2]], ["x", "y"]).tolist() == [[1, 2]]


def test_names_may_be_of_any_script() -> None:
    """Column names are text, not identifiers."""
    columns = Columns(("年齡", "prix (€)"), 2)
    assert columns.array([[1, 2]], ["prix (€)", "年齡"]).tolist() == [[2, 1]]


def test_records_carry_their_own_names() -> None:
    """A list of records needs no order at all, and their names win over the request's."""
    records = [
        {"fare": 7.5, "age": 30, "city": "Paris"},
        {"age": 40, "city": "Rome", "fare": 8.5},
    ]
    assert NAMED.array(records, ["x", "y", "z"]).tolist() == [
        [30, "Paris", 7.5],
        [40, "Rome", 8.5],
    ]


def test_a_single_record_is_a_table_of_one_row() -> None:
    """One record needs no list around it."""
    assert NAMED.array({"city": 2, "fare": 3, "age": 1}).tolist() == [[1, 2, 3]]


def test_a_record_without_a_column_is_refused_by_row() -> None:
    """A missing value is sent as null: a record that lacks the name may be a mistake."""
    records = [{"age": 1, "city": 2, "fare": 3}, {"age": 1, "city": 2}]
    assert refusal(records, columns=NAMED) == (
        "row 1, column 'fare': expected a plain value, got no value"
    )


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["age", "town", "fare"], "missing: city; unknown: town"),
        (["age", "age", "fare"], "missing: city; sent twice: age"),
        (["x", "x", "x"], "missing: age, city, fare; unknown: x; sent twice: x"),
    ],
)
def test_wrong_names_are_told_apart(names: list[str], wrong: str) -> None:
    """Missing, unknown and repeated names are listed, and so is what was expected."""
    assert refusal([[1, 2, 3]], names, NAMED) == (
        f"column names are wrong: {wrong}; expected age, city, fare"
    )


def test_records_that_hardly_ever_agree_are_refused() -> None:
    """A table of them would have a place for each name in each row, almost all of them empty."""
    records = [{f"name {number}": number} for number in range(1000)]
    with pytest.raises(ClientError, match="got 1000 values for a table of 1000000"):
        ANY.table(records)


def test_names_that_the_model_does_not_know_are_ignored() -> None:
    """A client may send the whole row of its database: the model takes what it was trained on."""
    record = {"id": 4, "age": 1, "city": 2, "fare": 3}
    assert NAMED.array(record).tolist() == [[1, 2, 3]]
    assert NAMED.array([list(record.values())], list(record)).tolist() == [[1, 2, 3]]


def test_names_that_the_model_does_not_know_are_refused_where_it_is_strict() -> None:
    """An operator can refuse requests with unknown fields."""
    strict = Columns(NAMED.names, allow_extra=False)
    assert refusal({"age": 1, "city": 2, "fare": 3, "id": 4}, columns=strict) == (
        "column names are wrong: unknown: id; expected age, city, fare"
    )


def test_an_unknown_name_is_shown_with_the_missing_one_that_is_nearest() -> None:
    """A typing mistake is seen at once."""
    assert refusal({"age": 1, "cities": 2, "fare": 3}, columns=NAMED) == (
        "column names are wrong: missing: city; unknown: cities (perhaps city);"
        " expected age, city, fare"
    )


def test_a_name_for_every_column_is_expected() -> None:
    """Fewer or more names than columns cannot be matched."""
    assert refusal([[1, 2, 3]], ["age", "city"], NAMED) == (
        "expected one name a column, got 2 names, 3 columns"
    )


@pytest.mark.parametrize(
    ("names", "got"),
    [([None, 2, 3], "[None, 2, 3]"), ("age", "'age'"), (5, "5"), ([["a"], "b"], "[['a'], 'b']")],
)
def test_names_that_are_no_list_of_strings_are_refused(names: Any, got: str) -> None:
    """The names of a JSON request may be anything, and only strings are names."""
    assert refusal([[1, 2, 3]], names, NAMED) == (f"expected names as a list of strings, got {got}")


@given(st.permutations(range(5)))
def test_any_order_of_named_columns_is_the_same_request(order: list[int]) -> None:
    """A permutation of columns together with their names changes nothing."""
    columns = Columns(("a", "b", "c", "d", "e"), 5)
    values = [10, 20, 30, 40, 50]
    sent = columns.array([[values[i] for i in order]], ["abcde"[i] for i in order])
    assert sent.tolist() == [[10, 20, 30, 40, 50]]


# Texts


@pytest.mark.parametrize(
    "payload",
    [["a", "b"], [["a"], ["b"]], np.array(["a", "b"]), np.array([["a"], ["b"]], dtype=object)],
)
def test_documents_are_a_list_or_a_column_of_strings(payload: Any) -> None:
    """Every way to send strings gives the same documents, as plain strings."""
    answer = texts(payload)
    assert answer == ["a", "b"]
    assert {type(text) for text in answer} == {str}


def test_a_string_is_one_document() -> None:
    """`strData` is a batch of one, and the empty text is a text."""
    assert texts("a document") == ["a document"]
    assert texts("") == [""]


@pytest.mark.parametrize(
    "payload",
    [
        [],
        [["a", "b"]],
        [["a"], ["b", "c"]],
        ["a", 1],
        [["a"], [None]],
        [1, 2],
        b"a",
        5,
        None,
        {"a": "b"},
        np.zeros((2, 1)),
        np.array(5.0),
        np.array([], dtype=object),
    ],
)
def test_anything_else_is_no_list_of_documents(payload: Any) -> None:
    """What is not all strings, one a row, is left to the other ways of reading a payload."""
    assert texts(payload) is None


# Cells


def is_text(value: Any) -> bool:
    """Whether a cell holds text."""
    return isinstance(value, str)


@pytest.mark.parametrize(
    ("table", "cell"),
    [
        (np.array([[1, 2], [3, "x"]], dtype=object), (1, 1, "x")),
        ([[1, "y"], ["x", 2]], (0, 1, "y")),
        (np.array([1, "x"], dtype=object), (1, 0, "x")),
        (np.zeros((2, 2)), None),
    ],
)
def test_the_first_wrong_cell_is_found_by_rows(table: Any, cell: Any) -> None:
    """Row, column and value of the first offender are what a client needs to mend it."""
    assert find_cell(table, is_text) == cell
