"""MLflow's scoring protocol, and SageMaker's additions to it.

The formats of requests and answers are those of MLflow 3's scoring server; `tests/servers/sklearn`
uses MLflow's own client.
"""

import json
import math
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from rawhttp import connected, post

from prepackaged import Component, Signature, TensorComponent, TensorSpec
from prepackaged.methods import asked_method
from prepackaged.signature import Column
from prepackaged.tables import Columns
from prepackaged.testing import Served, serve

SINCE_2 = (
    "; since MLflow 2 a table goes under dataframe_split or dataframe_records, other values under"
    " instances or inputs"
)
ONE_OF = "expected one of dataframe_split, dataframe_records, instances, inputs in the body, got "
CSV = "text/csv"


class Table(Component):
    """Answers the age in months and the other columns as it received them."""

    batchable = True
    signature = Signature(
        (Column("age", "float64"), Column("city", "text"), Column("is_new", "bool")),
        methods=("predict", "years"),
        method="predict",
    )

    def prepare(self, X: Any, feature_names: Any = None) -> Any:
        return Columns.of(self.signature.inputs).table(X, feature_names)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        months = X.arrays[0] * (12 if asked_method(meta, self.signature) == "predict" else 1)
        return np.column_stack([months.astype(object), *X.arrays[1:]])


class Untyped(Component):
    """Returns its input: four columns of any kind, without names."""

    signature = Signature((Column(),) * 4)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return Columns.of(self.signature.inputs).array(X, feature_names)


class Image(TensorComponent):
    """Doubles rows of two numbers."""

    def load_model(self, artifact: Any) -> None:
        self.signature = Signature((TensorSpec("x", "float32", (None, 2)),))

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return self.answer(lambda arrays: {"y": arrays["x"] * 2}, X, feature_names)


class Deep:
    """Answers with three dimensions, more than a table has."""

    def predict(self, X: Any, names: Any) -> Any:
        return np.zeros((1, 2, 2))


class Fixed:
    """Answers with a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def predict(self, X: Any, names: Any) -> Any:
        return self.value


def ask(server: Served, body: Any, **headers: str) -> tuple[int, Any]:
    """Send JSON and return the status and the JSON of the answer."""
    response = requests.post(f"{server.url}/invocations", json=body, headers=headers, timeout=60)
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


def ask_csv(server: Served, text: str | bytes, content_type: str = CSV) -> tuple[int, Any]:
    """Send CSV and return the status and the JSON of the answer."""
    body = text.encode() if isinstance(text, str) else text
    headers = {"Content-Type": content_type}
    response = requests.post(f"{server.url}/invocations", data=body, headers=headers, timeout=60)
    return response.status_code, response.json()


@pytest.fixture(scope="module")
def table() -> Iterator[Served]:
    """A server of Table."""
    model = Table()
    model.load()
    with serve(model) as server:
        yield server


@pytest.fixture(scope="module")
def untyped() -> Iterator[Served]:
    """A server of Untyped."""
    model = Untyped()
    model.load()
    with serve(model) as server:
        yield server


@pytest.fixture(scope="module")
def image() -> Iterator[Served]:
    """A server of Image."""
    model = Image()
    model.load()
    with serve(model) as server:
        yield server


ROWS = [[1.5, "Taipei", True], [2, None, False]]
ANSWER = {"predictions": [[18.0, "Taipei", True], [24.0, None, False]]}
COLUMNS = ["age", "city", "is_new"]
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"index": [0, 1], "columns": COLUMNS, "data": ROWS}},
        {"dataframe_split": {"columns": COLUMNS[::-1], "data": [row[::-1] for row in ROWS]}},
        {"dataframe_split": {"data": ROWS}},
        {"dataframe_records": RECORDS},
        {"dataframe_records": [{**record, "other": 1} for record in RECORDS]},
        {"instances": RECORDS},
        {"instances": ROWS},
        {"inputs": {"age": [1.5, 2], "city": ["Taipei", None], "is_new": [True, False]}},
        {"inputs": ROWS, "params": {}, "signature_name": None},
    ],
)
def test_each_form_of_a_table_is_read(table: Served, body: Any) -> None:
    """A table is read from each of MLflow's four keys, with its columns in any order."""
    assert ask(table, body) == (200, ANSWER)


@pytest.mark.parametrize(
    "text",
    [
        "age,city,is_new\n1.5,Taipei,true\n2,,False\n",
        "is_new,other,city,age\r\nTrue,x,Taipei,1.5\r\nFALSE,y,,2\r\n",
        '\ufeff"age","city","is_new"\n1.5,"Taipei",1\n\n2,"",0',
        " age , city,is_new\n 1.5,Taipei, true\n+2.0e0,,0\n",
    ],
)
def test_csv_is_read_by_the_names_in_its_first_line(table: Served, text: str) -> None:
    """CSV columns are matched by the header's names, and an empty cell is null."""
    assert ask_csv(table, text) == (200, ANSWER)


@pytest.mark.parametrize(
    ("text", "content_type", "rows"),
    [
        ("1,2.5,-3,4e2\n", CSV, [[1.0, 2.5, -3.0, 400.0]]),
        ("1,2,3,4\n5,6,7,8", CSV, [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("a,b,c,d\n1,2,3,4", CSV, [[1, 2, 3, 4]]),
        ("1,2,3,4\n5,6,7,8", "text/csv; header=present", [[5, 6, 7, 8]]),
        (
            "a,b,c,d\nx,2,true,",
            "text/csv;header=absent",
            [["a", "b", "c", "d"], ["x", "2", "true", None]],
        ),
        (
            "q,r,s,t\nx,2,true,\ny,,FALSE,",
            "text/csv; charset=UTF-8",
            [["x", 2, True, None], ["y", None, False, None]],
        ),
        ("1,nan,inf,\n", CSV, [[1.0, None, None, None]]),
        ("a,b,c,d\n1_0,\u0661,1,2\n", CSV, [["1_0", "\u0661", 1, 2]]),
    ],
)
def test_csv_without_a_header_is_data(
    untyped: Served, text: str, content_type: str, rows: Any
) -> None:
    """A first line of only numbers is data, as SageMaker sends it, unless `header` says otherwise.

    Untyped columns become numbers or booleans if all of their cells are, as in pandas.
    """
    assert ask_csv(untyped, text, content_type) == (200, {"predictions": rows})


def test_csv_is_read_for_tensors_too(image: Served) -> None:
    """Tensors accept CSV with a header or without; the header's names are ignored."""
    assert ask_csv(image, "1,2\n3,4\n") == (200, {"predictions": [[2, 4], [6, 8]]})
    assert ask_csv(image, "a,b\n1,2\n") == (200, {"predictions": [[2, 4]]})
    assert ask(image, {"inputs": {"x": [[1, 2]]}}) == (200, {"predictions": [[2, 4]]})
    status, answer = ask_csv(image, "a,b\n1,x\n")
    assert (status, answer["error_code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"dataframe_split": {"columns": COLUMNS, "data": ROWS}}, 200),
        ({"dataframe_records": RECORDS}, 200),
        ({"dataframe_records": [{"age": 1}]}, 400),
        ({"dataframe_split": {"data": [["x", "y", True]]}}, 400),
        ({"rows": ROWS}, 400),
    ],
)
def test_openapi_describes_what_is_answered(table: Served, body: Any, status: int) -> None:
    """The server answers what the OpenAPI schema allows, and refuses what it does not."""
    document = requests.get(f"{table.url}/openapi.json", timeout=60).json()
    asked = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    schema = asked["application/json"]["schema"]
    assert Draft202012Validator(schema).is_valid(body) is (status == 200)
    assert ask(table, body)[0] == status


def test_params_choose_the_method(table: Served) -> None:
    """The model's method is chosen in `params`."""
    body = {"dataframe_records": RECORDS[:1], "params": {"method": "years"}}
    assert ask(table, body) == (200, {"predictions": [[1.5, "Taipei", True]]})


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        ("text/csv", b"18.0,Taipei,true\n24.0,,false\n"),
        ("Text/CSV; q=1, */*;q=0.1", b"18.0,Taipei,true\n24.0,,false\n"),
    ],
)
def test_an_answer_may_be_csv(table: Served, accept: str, body: bytes) -> None:
    """With `Accept: text/csv` the answer is CSV, a line per row and no header."""
    response = requests.post(
        f"{table.url}/invocations",
        json={"instances": ROWS},
        headers={"Accept": accept},
        timeout=60,
    )
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"


def test_an_answer_that_is_no_table_cannot_be_csv() -> None:
    """An answer that is not a table cannot be CSV: 406 says what to accept."""
    with serve(Deep()) as server:
        status, answer = ask(server, {"inputs": [[1]]}, Accept=CSV)
    assert status == 406
    assert answer["message"].startswith("expected Accept: application/json")


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (np.zeros((0, 3)), b""),
        ([], b""),
        (np.array([["a\ud800", True]], object), b"a?,true\n"),
        (np.array([[1.5, {"a": [1, True]}]], object), b'1.5,"{""a"":[1,true]}"\n'),
        (np.array([[None, 1], [math.nan, -math.inf]], object), b",1\n,\n"),
        (np.array([[date(2026, 1, 31), Decimal("0.10")]], object), b"2026-01-31,0.10\n"),
    ],
)
def test_every_cell_of_an_answer_in_csv_is_text(value: Any, body: bytes) -> None:
    """Objects in a cell are JSON, as in an answer in JSON, and no rows are an empty body."""
    with serve(Fixed(value)) as server:
        response = requests.post(
            f"{server.url}/invocations", json={"inputs": [[1]]}, headers={"Accept": CSV}, timeout=60
        )
    assert (response.status_code, response.content) == (200, body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, f"{ONE_OF}an empty object{SINCE_2}"),
        ({"columns": COLUMNS, "data": ROWS}, f"{ONE_OF}an object with columns, data{SINCE_2}"),
        ({"instances": [1], "inputs": [1]}, f"{ONE_OF}instances and inputs{SINCE_2}"),
        (ROWS, f"expected a JSON object as the body, got a list{SINCE_2}"),
        (
            {"dataframe_split": ROWS},
            "expected dataframe_split as an object with columns and data, got a list",
        ),
        (
            {"dataframe_split": {"columns": COLUMNS}},
            "expected dataframe_split.data as a list of rows, got null or nothing",
        ),
        (
            {"dataframe_split": {"columns": "age", "data": ROWS}},
            "expected dataframe_split.columns as a list of names, got a string",
        ),
        (
            {"dataframe_split": {"columns": [["a", "b"]], "data": ROWS}},
            "expected dataframe_split.columns[0] as a string or a number, got a list",
        ),
        ({"dataframe_records": RECORDS[0]}, "expected dataframe_records as a list, got an object"),
        ({"dataframe_records": ROWS}, "expected dataframe_records as a list of objects"),
        (
            {"dataframe_records": [{"age": 1, "city": "x"}]},
            "column names are wrong: missing: is_new; expected age, city, is_new",
        ),
        (
            {"dataframe_records": [{**RECORDS[0], "age": "x"}]},
            "row 0, column 'age': expected a number, got 'x'",
        ),
        ({"inputs": ROWS, "params": 1}, "expected params as an object, got a number"),
        (
            {"inputs": ROWS, "params": {"method": "x"}},
            "expected method as one of predict, years, got 'x'",
        ),
        (
            {"inputs": ROWS, "signature_name": "x"},
            "expected no signature_name, which MLflow's protocol does not have",
        ),
    ],
)
def test_a_wrong_body_is_a_400_that_says_what_is_wrong(table: Served, body: Any, why: str) -> None:
    """A wrong body gets 400 in MLflow's format, without MLflow's traceback."""
    assert ask(table, body) == (400, {"error_code": "BAD_REQUEST", "message": why})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected at least one row of CSV, got none"),
        (
            "age,city,is_new\n",
            (
                "expected at least one row of CSV, got none below the first line, the header;"
                " with Content-Type: text/csv; header=absent, it is a row"
            ),
        ),
        ("," * 65_536 + "\n,", "expected at most 65536 columns of CSV, got 65537"),
        ("age,city,is_new\n1,2\n", "expected 3 cells in each row, got 2 in row 0"),
        ('age,city,is_new\n1,"a\n', "expected CSV; unexpected end of data"),
        ("age,city,is_new\nold,x,1\n", "row 0, column 'age': expected a number, got 'old'"),
        (
            "age,city,is_new\n1,x,maybe\n",
            "row 0, column 'is_new': expected true or false, got 'maybe'",
        ),
        (
            b"age,city,is_new\n1,\xff,1\n",
            "expected CSV in UTF-8, got none at byte 18",
        ),
        (
            "age,city,is_new\n1," + "x" * 200_000 + ",1",
            "expected CSV; field larger than field limit (131072)",
        ),
    ],
)
def test_wrong_csv_is_a_400_that_says_what_is_wrong(
    table: Served, text: str | bytes, why: str
) -> None:
    """Invalid CSV gets 400, with row and column where there is one."""
    assert ask_csv(table, text) == (400, {"error_code": "BAD_REQUEST", "message": why})


@pytest.mark.parametrize(
    ("content_type", "status", "why"),
    [
        (
            "application/x-npy",
            415,
            "expected Content-Type application/json or text/csv, got application/x-npy",
        ),
        ("application/json; charset=latin-1", 415, "expected charset=utf-8, got latin-1"),
        ("text/csv; header=maybe", 400, "expected header=present or header=absent, got maybe"),
    ],
)
def test_another_content_type_is_refused(
    table: Served, content_type: str, status: int, why: str
) -> None:
    """Other content types get 415, and an unknown `header` gets 400."""
    assert ask_csv(table, "1,x,1", content_type) == (
        status,
        {"error_code": "BAD_REQUEST", "message": why},
    )


def test_a_body_without_a_content_type_is_json(table: Served) -> None:
    """A body without Content-Type is read as JSON; a charset of UTF-8 is accepted."""
    body = json.dumps({"inputs": ROWS}).encode()
    with connected(table.url) as connection:
        for content_type in ("", "application/json; charset=utf-8", "Application/JSON"):
            answer = connection.ask(post(body, "/invocations", content_type=content_type))
            assert json.loads(answer.body) == ANSWER


def test_health_and_version_are_told(table: Served) -> None:
    """/ping, /health and /version answer as MLflow's client and SageMaker expect."""
    for path in ("/ping", "/health"):
        told = requests.get(table.url + path, timeout=60)
        assert (told.status_code, told.content) == (200, b"\n")
    assert requests.get(f"{table.url}/version", timeout=60).text == version("prepackaged")
    refused = requests.get(f"{table.url}/invocations", timeout=60)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    assert refused.json() == {
        "error_code": "BAD_REQUEST",
        "message": "expected POST for /invocations, got GET",
    }


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_an_error_of_a_health_path_has_the_form_of_mlflow(table: Served, path: str) -> None:
    """The wrong method for a path of the protocol gets the protocol's own error."""
    refused = requests.post(table.url + path, timeout=60)
    assert (refused.status_code, refused.json()) == (
        405,
        {"error_code": "BAD_REQUEST", "message": f"expected GET for {path}, got POST"},
    )


def test_a_ping_fails_if_the_models_health_hook_does() -> None:
    """A failing health hook makes /ping fail with its message."""

    class Ill:
        def predict(self, X: Any, names: Any) -> Any:
            return X

        def health_status(self) -> str:
            raise ValueError("no database")

    with serve(Ill()) as server:
        told = requests.get(f"{server.url}/ping", timeout=60)
        assert told.status_code == 500
        assert "no database" in told.text
        state = requests.get(f"{server.url}/v1/models/model", timeout=60)
        assert (state.status_code, state.json()) == (500, {"error": "no database"})


def test_large_csv_means_what_small_does(untyped: Served) -> None:
    """Large CSV, which another thread reads, gets the same answer."""
    text = "1,2,3,4\n" * 20_000
    status, answer = ask_csv(untyped, text)
    assert status == 200
    assert answer["predictions"] == [[1, 2, 3, 4]] * 20_000


CELLS = st.text(alphabet='1.e-,"\n\r \ttrueNa\u00e9\x00', max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*COLUMNS, "x", "columns", "data", "method"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
KEYS = ["dataframe_split", "dataframe_records", "instances", "inputs", "params", "signature_name"]


@pytest.mark.parametrize("name", ["table", "untyped", "image"])
@settings(max_examples=120, deadline=None)
@given(body=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=2) | JSON, cells=CELLS)
def test_no_body_is_the_servers_mistake(
    request: pytest.FixtureRequest, name: str, body: Any, cells: str
) -> None:
    """Any body, JSON or CSV, gets an answer or 400, never a 5xx."""
    server = request.getfixturevalue(name)
    as_json = requests.post(
        f"{server.url}/invocations",
        data=json.dumps(body),
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert as_json.status_code in (200, 400), as_json.text
    status, answer = ask_csv(server, cells)
    assert status in (200, 400), answer
