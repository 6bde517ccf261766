"""Wrong requests over HTTP: errors say what was expected and received, and serving continues."""

from collections.abc import Callable, Iterator
from typing import Any

import joblib
import pandas as pd
import pytest
from serving import Server, serve_here
from sklearn.linear_model import LogisticRegression

GOOD = {"data": {"ndarray": [[5.3, 3.5, 1.4, 0.2]]}}


@pytest.fixture(autouse=True)
def keeps_serving(iris_server: Server) -> Iterator[None]:
    """Check after each test that the server still answers a valid request."""
    yield
    assert iris_server.post(GOOD).status_code == 200


def assert_refused(response: Any, *words: str) -> None:
    """Check for HTTP 400 with Seldon's error body and a message that contains these words."""
    body = response.json()["status"]
    assert response.status_code == 400, body
    assert (body["status"], body["code"], body["reason"]) == (1, -1, "MICROSERVICE_BAD_DATA")
    for word in words:
        assert word in body["info"]


@pytest.mark.parametrize("text", ["", "{", "not JSON", "{'data': 1}", "null", "\x00"])
def test_a_body_that_is_not_json_is_refused(iris_server: Server, text: str) -> None:
    """A body that is not JSON gets an HTTP 400."""
    assert_refused(iris_server.post_text(text), "Can't find JSON in data")


@pytest.mark.parametrize("body", [{}, [], 7, "text", {"ndarray": [[1]]}, {"rows": [[1, 2, 3, 4]]}])
def test_json_of_the_wrong_shape_is_refused(iris_server: Server, body: Any) -> None:
    """JSON without a valid data, jsonData, strData or binData gets an HTTP 400."""
    assert_refused(iris_server.post(body), "Invalid request data type")


@pytest.mark.parametrize(
    ("rows", "got"),
    [
        ([[5.3, 3.5, 1.4]], "rows of 3 (shape [1, 3])"),
        ([[5.3, 3.5, 1.4, 0.2, 9.9]] * 2, "rows of 5 (shape [2, 5])"),
    ],
)
@pytest.mark.parametrize("kind", ["ndarray", "jsonData"])
def test_a_wrong_number_of_features_is_refused(
    iris_server: Server, rows: Any, got: str, kind: str
) -> None:
    """For a wrong number of features, the message contains both numbers."""
    body = {"jsonData": rows} if kind == "jsonData" else {"data": {"ndarray": rows}}

    assert_refused(iris_server.post(body), "expected rows of 4 values", got)


@pytest.mark.parametrize("kind", ["ndarray", "jsonData"])
def test_text_where_numbers_belong_is_refused(iris_server: Server, kind: str) -> None:
    """For text in a number column, the message contains row, column and the text."""
    rows = [[5.3, 3.5, 1.4, 0.2], [5.3, "wide", 1.4, 0.2]]
    body = {"jsonData": rows} if kind == "jsonData" else {"data": {"ndarray": rows}}

    assert_refused(iris_server.post(body), "row 1, column 1: expected a number, got 'wide'")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("null", "row 1, column 2: expected a number, got null"),
        ("NaN", "row 1, column 2: expected a number, got null"),
        ("Infinity", "row 1, column 2 is inf"),
        ("-Infinity", "row 1, column 2 is -inf"),
    ],
)
def test_a_missing_or_infinite_number_is_refused(
    iris_server: Server, value: str, shown: str
) -> None:
    """A model that accepts no missing or infinite values reports where the value is."""
    text = '{"data": {"ndarray": [[5.3, 3.5, 1.4, 0.2], [5.3, 3.5, VALUE, 0.2]]}}'

    assert_refused(iris_server.post_text(text.replace("VALUE", value)), shown)


@pytest.mark.parametrize("kind", ["ndarray", "jsonData"])
def test_ragged_rows_are_refused(iris_server: Server, kind: str) -> None:
    """For rows of unequal length, the message names the rows."""
    rows = [[5.3, 3.5, 1.4, 0.2], [5.3, 3.5]]
    body = {"jsonData": rows} if kind == "jsonData" else {"data": {"ndarray": rows}}

    assert_refused(iris_server.post(body), "row 0 has 4 values, row 1 has 2 values")


def test_a_tensor_that_does_not_fill_its_shape_is_refused(iris_server: Server) -> None:
    """For a tensor that does not fill its shape, the message has shape and number of values."""
    body = {"data": {"tensor": {"shape": [2, 4], "values": [1.0]}}}

    assert_refused(iris_server.post(body), "shape [2, 4]", "got 1")


@pytest.mark.parametrize("body", [{"data": {"ndarray": []}}, {"jsonData": []}, {"data": {}}])
def test_an_empty_batch_is_refused(iris_server: Server, body: Any) -> None:
    """A request without rows gets an HTTP 400."""
    assert_refused(iris_server.post(body), "shape [0]")


@pytest.mark.parametrize("rows", [[[]], [[], []]])
def test_rows_without_values_are_refused(iris_server: Server, rows: Any) -> None:
    """A request whose rows are empty gets an HTTP 400."""
    assert_refused(iris_server.post({"data": {"ndarray": rows}}), "at least one row and one column")


def test_a_single_row_without_its_outer_bracket_is_refused(iris_server: Server) -> None:
    """For a flat list of values, the message shows the brackets that a single row needs."""
    assert_refused(iris_server.post({"data": {"ndarray": [5.3, 3.5, 1.4, 0.2]}}), "[[...]]")


def test_too_many_dimensions_are_refused(iris_server: Server) -> None:
    """An array of three dimensions gets an HTTP 400."""
    body = {"data": {"ndarray": [[[5.3, 3.5, 1.4, 0.2]]]}}

    assert_refused(iris_server.post(body), "2 dimensions", "shape [1, 1, 4]")


@pytest.mark.parametrize(
    "body", [{"strData": "5.3 3.5"}, {"binData": "AAAA"}, {"jsonData": 7}, {"jsonData": None}]
)
def test_a_payload_that_is_not_a_table_is_refused(iris_server: Server, body: Any) -> None:
    """For a payload that is not a table, the message names the fields that accept rows."""
    assert_refused(iris_server.post(body), "expected rows of values, got")


@pytest.fixture(scope="module")
def named_server(
    iris: Any, tmp_path_factory: pytest.TempPathFactory, model_of: Callable[..., Any]
) -> Iterator[Server]:
    """A server with a classifier that was trained on named columns."""
    directory = tmp_path_factory.mktemp("named")
    frame = pd.DataFrame(iris.data, columns=["sl", "sw", "pl", "pw"])
    joblib.dump(
        LogisticRegression(max_iter=500).fit(frame, iris.target), directory / "model.joblib"
    )
    with serve_here(model_of(directory)) as server:
        yield server


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["sl", "sw", "pl", "petal"], ["missing: pw", "unknown: petal", "expected sl, sw, pl, pw"]),
        (["sl", "sl", "pl", "pw"], ["missing: sw", "sent twice: sl"]),
        (["sl", "sw", "pl"], ["got 3 names, 4 columns"]),
    ],
)
def test_wrong_column_names_are_refused(named_server: Server, names: list[str], words: Any) -> None:
    """For wrong column names, the message lists the missing, unknown and expected names."""
    body = {"data": {"names": names, "ndarray": [[5.3, 3.5, 1.4, 0.2]]}}

    assert_refused(named_server.post(body), *words)


def test_a_record_without_a_column_is_refused(named_server: Server) -> None:
    """For a record without a required column, the message names the column."""
    assert_refused(
        named_server.post({"jsonData": {"sl": 5.3, "sw": 3.5, "pl": 1.4}}), "missing: pw"
    )


def test_a_record_that_lacks_a_column_is_refused(named_server: Server) -> None:
    """A record that lacks a column is refused even if the other records have it."""
    first = {"sl": 5.3, "sw": 3.5, "pl": 1.4, "pw": 0.2}
    second = {"sl": 5.3, "sw": 3.5, "pl": 1.4, "petal": 0.2}

    response = named_server.post({"jsonData": [first, second]})

    assert_refused(response, "row 1, column 'pw': expected a number, got no value")
