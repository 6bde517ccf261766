import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepackaged import ClientError, Columns, find_cell, texts
from prepackaged.signature import Column

ANY = Columns()
NAMED = Columns(names=("age", "city", "fare"), count=3)


def refusal(payload: Any, names: Any = None, columns: Columns = ANY) -> str:
    """Return the error message for a payload."""
    with pytest.raises(ClientError) as caught:
        columns.array(payload, names)
    return str(caught.value)


# Values


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (["2", "0", "1"], [20.0, 30.0, 10.0]),
        ([2, 0, 1], [20.0, 30.0, 10.0]),
        (["0", "1", "2"], [10.0, 20.0, 30.0]),
        (["0"], [10.0, 20.0, 30.0]),  # names of other columns are no positions
        (["0", "0", "1"], [10.0, 20.0, 30.0]),
        (["1", "2", "3"], [10.0, 20.0, 30.0]),
        (["2", "0", "x"], [10.0, 20.0, 30.0]),
    ],
)
@pytest.mark.parametrize("kind", [None, "float64"])
def test_numbers_from_zero_as_names_are_positions(
    names: list[Any], row: list[float], kind: Any
) -> None:
    """Only complete numbers determine the order of columns that the model knows no names of."""
    facts = None if kind is None else (Column(kind=kind),) * 3
    columns = Columns(count=3, facts=facts)
    sent = np.array([[10.0, 20.0, 30.0]])
    assert columns.array(sent, names).tolist() == [row]
    assert columns.array(sent.tolist(), names).tolist() == [row]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool"])
def test_a_numeric_array_passes_untouched(dtype: str) -> None:
    """A numeric array is returned without a copy."""
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
    """Integers stay integers, null and fractions make floats, and texts make objects."""
    assert ANY.array(rows).dtype == dtype


def test_rows_keep_their_values() -> None:
    """Rows become an array of the same values."""
    assert ANY.array([[1, 2, 3], [4, 5, 6]]).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_null_is_nan() -> None:
    """A null among numbers is NaN."""
    answer = ANY.array([[1, None], [2.5, 3]])
    assert answer[0, 0] == 1.0
    assert math.isnan(answer[0, 1])
    assert answer[1].tolist() == [2.5, 3.0]


def test_null_in_an_object_array_is_nan() -> None:
    """A null in an object array is NaN too."""
    answer = ANY.array(np.array([[1, None]], dtype=object))
    assert answer.dtype == np.float64
    assert math.isnan(answer[0, 1])


def test_mixed_rows_keep_the_type_of_every_value() -> None:
    """In rows with texts, each value keeps its type."""
    (row,) = ANY.array([[1, "Paris", None, True, 2.5]]).tolist()
    assert (row[0], row[1], row[3], row[4]) == (1, "Paris", True, 2.5)
    assert math.isnan(row[2])
    assert [type(value) for value in row] == [int, str, float, bool, float]


def test_texts_that_look_like_numbers_stay_texts() -> None:
    """Texts that look like numbers stay texts."""
    assert ANY.array(np.array([["1", "2"]])).tolist() == [["1", "2"]]


def test_an_integer_beyond_64_bits_becomes_a_float() -> None:
    """Integers of over 64 bits are rounded to floats."""
    assert ANY.array([[2**70, None]])[0, 0] == 1180591620717411303424.0


@pytest.mark.parametrize("rows", [[[10**400]], [[1.5, -(10**400)]], [[None, 10**400]]])
def test_an_integer_beyond_floating_point_is_refused(rows: list[list[Any]]) -> None:
    """An integer above the range of floats is refused."""
    assert refusal(rows) == "expected numbers within 64-bit floating point; one is larger"


def test_nan_and_infinity_are_left_to_the_model() -> None:
    """NaN and infinity are accepted."""
    assert ANY.array([[math.inf, -math.inf]]).tolist() == [[math.inf, -math.inf]]
    assert math.isnan(ANY.array([[math.nan]])[0, 0])


numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
cells = numbers | st.none() | st.text(max_size=3)


@given(st.lists(st.tuples(cells, cells).map(list), min_size=1, max_size=4))
def test_any_plain_table_is_accepted(rows: list[list[Any]]) -> None:
    """Any table of plain JSON values gives an array of the same shape."""
    answer = ANY.array(rows)
    assert answer.shape == (len(rows), 2)
    if any(isinstance(value, str) for row in rows for value in row):
        assert answer.dtype == object
    else:
        assert answer.dtype.kind in "biuf"


@given(st.lists(st.tuples(cells, cells).map(list), min_size=1, max_size=4))
def test_only_null_becomes_nan(rows: list[list[Any]]) -> None:
    """A cell is NaN exactly if it was null."""
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
def test_any_payload_is_a_table_or_refused(payload: Any, names: Any) -> None:
    """Any JSON value, as rows or names, gives a table or a ClientError."""
    with suppress(ClientError):
        assert NAMED.array(payload, names).ndim == 2


@given(json_values)
def test_no_payload_crashes_the_search_for_texts(payload: Any) -> None:
    """For any JSON value, `texts` returns strings or None."""
    answer = texts(payload)
    assert answer is None or all(type(text) is str for text in answer)


# Shapes


def test_one_dimension_is_refused_with_an_explanation() -> None:
    """The error for one dimension explains the missing brackets."""
    assert refusal([1, 2]) == (
        "expected rows of values, an array of 2 dimensions, got shape [2];"
        " one row goes into two brackets: [[...]]"
    )


def test_three_dimensions_are_refused_with_their_shape() -> None:
    """The error for three dimensions gives the shape."""
    assert refusal(np.zeros((1, 2, 3))) == (
        "expected rows of values, an array of 2 dimensions, got shape [1, 2, 3]"
    )


def test_no_dimension_is_refused_with_its_shape() -> None:
    """The error for a scalar gives the shape."""
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
    """The error for a table without rows or columns gives the shape."""
    assert refusal(payload) == f"expected at least one row and one column, got shape {shape}"


def test_an_empty_list_is_refused() -> None:
    """An empty list is refused."""
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
    """The error for ragged rows names the first row of another length, and both lengths."""
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
    """A list or an object in a cell is refused."""
    assert refusal(payload) == "expected rows of plain values; a row holds a list or an object"


@pytest.mark.parametrize("payload", [[{"a": [1, 2]}], {"a": {"b": 1}}])
def test_a_list_or_an_object_in_a_record_is_refused(payload: Any) -> None:
    """A list or an object in a record is refused."""
    with pytest.raises(ClientError, match="a row holds a list or an object"):
        Columns(names=("a",)).array(payload)


@pytest.mark.parametrize("payload", [{"a": 1, "b": 2}, [{"a": 1, "b": 2}]])
def test_records_need_a_model_that_knows_names(payload: Any) -> None:
    """Records are refused if the model has no column names."""
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
def test_the_error_for_a_value_that_is_no_table_names_its_type(payload: Any, got: str) -> None:
    """The error for a value that is no table names its type and where tables are expected."""
    assert refusal(payload) == (f"expected rows of values, got {got}")


@pytest.mark.parametrize("columns", [Columns(count=2), Columns(names=("a", "b"))])
def test_a_wrong_number_of_columns_names_both_numbers(columns: Columns) -> None:
    """The error for a wrong number of columns gives both numbers."""
    assert refusal(np.zeros((4, 3)), columns=columns) == (
        "expected rows of 2 values, got rows of 3 (shape [4, 3])"
    )


# Names


def test_named_columns_are_put_in_the_order_of_training() -> None:
    """Named columns are sorted into the training order."""
    answer = NAMED.array(np.array([[1.0, 2.0, 3.0]]), ["fare", "age", "city"])
    assert answer.tolist() == [[2.0, 3.0, 1.0]]


def test_columns_without_names_are_in_the_order_of_training() -> None:
    """Columns without names are taken in the training order."""
    assert NAMED.array([[1, 2, 3]]).tolist() == [[1, 2, 3]]
    assert NAMED.array([[1, 2, 3]], []).tolist() == [[1, 2, 3]]


def test_names_are_ignored_by_a_model_that_knows_none() -> None:
    """A model without column names ignores the names in a request."""
    assert Columns(count=2).array([[1, 2]], ["x", "y"]).tolist() == [[1, 2]]


def test_names_may_be_of_any_script() -> None:
    """Column names may contain any characters."""
    columns = Columns(("年齡", "prix (€)"), 2)
    assert columns.array([[1, 2]], ["prix (€)", "年齡"]).tolist() == [[2, 1]]


def test_records_carry_their_own_names() -> None:
    """Records may have any key order, and their keys override the request's names."""
    records = [
        {"fare": 7.5, "age": 30, "city": "Paris"},
        {"age": 40, "city": "Rome", "fare": 8.5},
    ]
    assert NAMED.array(records, ["x", "y", "z"]).tolist() == [
        [30, "Paris", 7.5],
        [40, "Rome", 8.5],
    ]


def test_a_single_record_is_a_table_of_one_row() -> None:
    """A single record is a table of one row."""
    assert NAMED.array({"city": 2, "fare": 3, "age": 1}).tolist() == [[1, 2, 3]]


def test_a_record_without_a_column_is_refused_by_row() -> None:
    """A missing value in a record is an error: it must be sent as null."""
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
def test_missing_unknown_and_repeated_names_are_listed(names: list[str], wrong: str) -> None:
    """The error lists missing, unknown and repeated names and the expected ones."""
    assert refusal([[1, 2, 3]], names, NAMED) == (
        f"column names are wrong: {wrong}; expected age, city, fare"
    )


def test_records_with_too_few_common_names_are_refused() -> None:
    """Records with too few common names are refused, since their table would be almost empty."""
    records = [{f"name {number}": number} for number in range(1000)]
    with pytest.raises(ClientError, match="got 1000 values for a table of 1000000"):
        ANY.table(records)


def test_unknown_names_are_ignored() -> None:
    """Unknown columns are ignored."""
    record = {"id": 4, "age": 1, "city": 2, "fare": 3}
    assert NAMED.array(record).tolist() == [[1, 2, 3]]
    assert NAMED.array([list(record.values())], list(record)).tolist() == [[1, 2, 3]]


def test_unknown_names_are_refused_in_strict_mode() -> None:
    """In strict mode, unknown columns are refused."""
    strict = Columns(NAMED.names, allow_extra=False)
    assert refusal({"age": 1, "city": 2, "fare": 3, "id": 4}, columns=strict) == (
        "column names are wrong: unknown: id; expected age, city, fare"
    )


def test_the_error_suggests_the_nearest_missing_name() -> None:
    """The error suggests the nearest missing name for an unknown one."""
    assert refusal({"age": 1, "cities": 2, "fare": 3}, columns=NAMED) == (
        "column names are wrong: missing: city; unknown: cities (perhaps city);"
        " expected age, city, fare"
    )


def test_a_name_for_every_column_is_expected() -> None:
    """The numbers of names and columns must be equal."""
    assert refusal([[1, 2, 3]], ["age", "city"], NAMED) == (
        "expected one name for each column, got 2 names, 3 columns"
    )


@pytest.mark.parametrize(
    ("names", "got"),
    [([None, 2, 3], "[None, 2, 3]"), ("age", "'age'"), (5, "5"), ([["a"], "b"], "[['a'], 'b']")],
)
def test_names_that_are_no_list_of_strings_are_refused(names: Any, got: str) -> None:
    """Names that are not a list of strings are refused."""
    assert refusal([[1, 2, 3]], names, NAMED) == (f"expected names as a list of strings, got {got}")


@given(st.permutations(range(5)))
def test_any_order_of_named_columns_is_the_same_request(order: list[int]) -> None:
    """The order of named columns does not matter."""
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
    """Documents may be a list or a column of strings."""
    answer = texts(payload)
    assert answer == ["a", "b"]
    assert {type(text) for text in answer} == {str}


def test_a_string_is_one_document() -> None:
    """A single string, even an empty one, is one document."""
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
def test_other_values_are_no_list_of_documents(payload: Any) -> None:
    """Anything but one string per row is not a list of documents."""
    assert texts(payload) is None


# Cells


def is_text(value: Any) -> bool:
    """Return whether a cell holds text."""
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
    """The first matching cell is returned with its row, column and value."""
    assert find_cell(table, is_text) == cell
