"""Errors about tables over the Open Inference Protocol name the tensor."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import joblib
import pandas as pd
import pytest
import requests
from serving import Server, serve_here
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from v2 import INFER, call

FIELDS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
ROWS = 3000  # with 4 columns, more values than the event loop prepares


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    """A tensor in JSON."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def over_rest(server: Server, inputs: list[Any], **more: Any) -> tuple[int, str]:
    """Status and message of the answer over REST."""
    answer = requests.post(server.url + INFER, json={"inputs": inputs, **more}, timeout=60)
    return answer.status_code, answer.json()["error"]


def over_grpc(server: Server, inputs: list[Any]) -> tuple[str, str | None]:
    """Code and message of the answer over gRPC."""
    sent = []
    for each in inputs:
        values = [value.encode() if isinstance(value, str) else value for value in each["data"]]
        contents = {FIELDS[each["datatype"]]: values}
        sent.append({key: each[key] for key in ("name", "datatype", "shape")})
        sent[-1]["contents"] = contents
    with pytest.raises(grpc.RpcError) as caught:
        call(server, "ModelInfer", model_name="model", inputs=sent)
    return caught.value.code().name, caught.value.details()


@pytest.fixture(scope="module")
def people_server(
    people: pd.DataFrame, model_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of a pipeline with the columns age, city and visits."""
    encoder = make_column_transformer(
        (SimpleImputer(), ["age", "visits"]), (OneHotEncoder(), ["city"])
    )
    model = make_pipeline(encoder, LogisticRegression()).fit(people, [0, 1] * 3)
    directory = tmp_path_factory.mktemp("people")
    joblib.dump(model, directory / "model.joblib")
    with serve_here(model_of(directory)) as server:
        yield server


AGE = tensor("age", "FP64", [2], [30.0, 31.0])
CITY = tensor("city", "BYTES", [2], ["Taipei", "Tainan"])
VISITS = tensor("visits", "INT64", [2], [1, 2])


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            [AGE, CITY],
            "column names are wrong: missing: visits; expected age, city, visits",
        ),
        (
            [AGE, tensor("city", "BYTES", [2], ["Taipei", "Mars"]), VISITS],
            "row 1, column 'city': expected one of 'Hualien', 'Tainan', 'Taipei', got 'Mars'",
        ),
        (
            [tensor("age", "BYTES", [2], ["30", "old"]), CITY, VISITS],
            "row 1, column 'age': expected a number, got 'old'",
        ),
        (
            [tensor("age", "FP64", [3], [1.0, 2.0, 3.0]), CITY, VISITS],
            "input 'city': expected a column, shape [3] or [3, 1], got [2]",
        ),
        (
            [tensor(name, "FP64", [0, 1], []) for name in ("age", "city", "visits")],
            "input 'age': expected at least one row, got shape [0, 1]",
        ),
        (
            [tensor("x", "BYTES", [2, 3], ["30", "Taipei", "1", "old", "Tainan", "2"])],
            "input 'x': row 1, column 'age': expected a number, got 'old'",
        ),
        (
            [tensor("x", "FP64", [1, 2], [30.0, 1.0])],
            "input 'x': expected rows of 3 values, got rows of 2 (shape [1, 2])",
        ),
    ],
)
def test_an_error_about_named_columns_names_tensor_row_and_column(
    people_server: Server, inputs: list[Any], text: str
) -> None:
    """A column is a tensor of the same name; a table in one tensor has the tensor's name first."""
    assert over_rest(people_server, inputs) == (400, text)
    assert over_grpc(people_server, inputs) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (
            tensor("x", "FP64", [1, 3], [1.0, 2.0, 3.0]),
            "input 'x': expected rows of 4 values, got rows of 3 (shape [1, 3])",
        ),
        (
            tensor("x", "FP64", [1, 2, 2], [1.0, 2.0, 3.0, 4.0]),
            "input 'x': expected rows of values, an array of 2 dimensions, got shape [1, 2, 2]",
        ),
        (
            tensor("x", "FP64", [0, 4], []),
            "input 'x': expected at least one row and one column, got shape [0, 4]",
        ),
        (
            tensor("x", "BYTES", [1, 4], ["1", "2", "3", "wide"]),
            "input 'x': row 0, column 3: expected a number, got 'wide'",
        ),
        (
            tensor("x", "FP64", [ROWS, 4], [1.0] * (4 * ROWS - 1) + [float("nan")]),
            f"input 'x': row {ROWS - 1}, column 3: expected a number, got null",
        ),
    ],
    ids=["width", "dimensions", "no rows", "text", "many rows"],
)
def test_an_error_about_columns_without_names_names_the_tensor(
    iris_server: Server, sent: Any, text: str
) -> None:
    """The tensor's name comes first, whether a request is large and whatever it asks for."""
    values = [None if value != value else value for value in sent["data"]]
    for outputs in ([], ["predict"], ["predict", "predict_proba"]):
        asked = {"outputs": [{"name": name} for name in outputs]}
        assert over_rest(iris_server, [{**sent, "data": values}], **asked) == (400, text)
    assert over_grpc(iris_server, [sent]) == ("INVALID_ARGUMENT", text)


def test_an_error_about_columns_in_order_names_the_first_and_the_last(iris_server: Server) -> None:
    """With `pd`, columns without names are in the order of training."""
    columns = [
        tensor(name, "BYTES", [1], [text]) for name, text in zip("abcd", "123x", strict=True)
    ]
    pandas = {"parameters": {"content_type": "pd"}}
    assert over_rest(iris_server, columns, **pandas) == (
        400,
        "inputs 'a' to 'd': row 0, column 3: expected a number, got 'x'",
    )


def test_an_error_about_the_method_names_no_tensor(iris_server: Server) -> None:
    """The method is no input."""
    sent = tensor("x", "FP64", [1, 4], [1.0, 2.0, 3.0, 4.0])
    assert over_rest(iris_server, [sent], parameters={"method": "guess"}) == (
        400,
        "expected method as one of predict_proba, decision_function, predict, got 'guess'",
    )


def test_a_binary_tensor_is_named_too(iris_server: Server) -> None:
    """The values of a binary tensor have the same errors."""
    entry = {
        "name": "x",
        "datatype": "FP64",
        "shape": [1, 3],
        "parameters": {"binary_data_size": 24},
    }
    head = json.dumps({"inputs": [entry]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = requests.post(
        iris_server.url + INFER, data=head + bytes(24), headers=headers, timeout=60
    )
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "input 'x': expected rows of 4 values, got rows of 3 (shape [1, 3])"},
    )
