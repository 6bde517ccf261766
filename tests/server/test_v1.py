"""TensorFlow Serving's REST protocol, which KServe and Vertex AI speak too.

The formats of requests and answers are those of TensorFlow Serving's api_rest.md.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from rawhttp import chunked, connected, get, post

from prepackaged import Component, Signature, TensorComponent, TensorSpec
from prepackaged.methods import asked_method
from prepackaged.server.inference.batching import batch_key
from prepackaged.server.protocols.seldon.json_codec import decode
from prepackaged.server.protocols.v1.requests import Reader
from prepackaged.signature import Column
from prepackaged.tables import Columns
from prepackaged.testing import Served, serve

MODEL = "/v1/models/model"
PREDICT = f"{MODEL}:predict"
URL_SAFE = base64.urlsafe_b64encode(b"\xfb\xff\xfe").decode()


class HalfPlusTwo(TensorComponent):
    """TensorFlow Serving's own example: half of x, plus two."""

    batchable = True

    def load_model(self, artifact: Any) -> None:
        x = TensorSpec("x", "float32", (None,))
        self.signature = Signature((x,), (TensorSpec("y", "float32", (None,)),))

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return self.answer(lambda arrays: {"y": arrays["x"] / 2 + 2}, X, feature_names)


class TwoOutputs(TensorComponent):
    """Takes text and numbers by name, and returns two outputs, one of them bytes."""

    def load_model(self, artifact: Any) -> None:
        self.signature = Signature(
            (TensorSpec("tag", bytes, (None,)), TensorSpec("signal", "float64", (None, 2))),
        )

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        def run(arrays: dict[str, Any]) -> dict[str, Any]:
            return {"tag_bytes": arrays["tag"], "sum": arrays["signal"].sum(axis=1)}

        return self.answer(run, X, feature_names)


class Table(Component):
    """Doubles the first of two named columns; NaN stays NaN."""

    batchable = True
    signature = Signature(
        (Column("a", "float64"), Column("b", "text")),
        (Column("0"), Column("1")),
        methods=("predict", "score"),
        method="predict",
    )

    def prepare(self, X: Any, feature_names: Any = None) -> Any:
        return Columns.of(self.signature.inputs).table(X, feature_names)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        times = 3 if asked_method(meta, self.signature) == "score" else 2
        return X.arrays[0] * times


class Whole:
    """Answers with one object that holds the request's payload and meta."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        return {"got": X, "meta": meta}


class Boxes:
    """Answers each row with a list whose length is the row's value."""

    def predict(self, X: Any, names: Any) -> Any:
        return [[[0.5, 1.0]] * int(count) for count in X]


class Fewer:
    """Always answers with one row."""

    def predict(self, X: Any, names: Any) -> Any:
        return np.array([1.0])


def served(model: Any, **settings: Any) -> AbstractContextManager[Served]:
    """Load the model if it is a Component, and serve it."""
    if isinstance(model, Component):
        model.load()
    return serve(model, **settings)


def ask(server: Served, body: Any, path: str = PREDICT) -> tuple[int, Any]:
    """Send JSON and return the status and the JSON of the answer."""
    response = requests.post(server.url + path, json=body, timeout=60)
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


@pytest.fixture(scope="module")
def half() -> Iterator[Served]:
    """A server of HalfPlusTwo."""
    with served(HalfPlusTwo()) as server:
        yield server


@pytest.fixture(scope="module")
def two() -> Iterator[Served]:
    """A server of TwoOutputs."""
    with served(TwoOutputs()) as server:
        yield server


@pytest.fixture(scope="module")
def table() -> Iterator[Served]:
    """A server of Table."""
    with served(Table()) as server:
        yield server


@pytest.mark.parametrize("path", [PREDICT, f"{MODEL}/versions/1:predict", f"{MODEL}%3Apredict"])
def test_instances_are_answered_with_predictions(half: Served, path: str) -> None:
    """TensorFlow Serving's example is answered at each form of the address."""
    assert ask(half, {"instances": [1.0, 2.0, 5.0]}, path) == (
        200,
        {"predictions": [2.5, 3.0, 4.5]},
    )


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [{"x": 1.0}, {"x": 2.0}]}, {"predictions": [2.5, 3.0]}),
        ({"inputs": [1.0, 2.0]}, {"outputs": [2.5, 3.0]}),
        ({"inputs": {"x": [1.0, 2.0]}}, {"outputs": [2.5, 3.0]}),
        ({"signature_name": "serving_default", "instances": [1]}, {"predictions": [2.5]}),
        ({"signature_name": "", "instances": [1], "inputs": None}, {"predictions": [2.5]}),
        ({"instances": [1], "parameters": None, "id": 7}, {"predictions": [2.5]}),
    ],
)
def test_rows_and_columns_are_answered_in_their_form(half: Served, body: Any, answer: Any) -> None:
    """Instances give predictions, inputs give outputs, named or not; null members are ignored."""
    assert ask(half, body) == (200, answer)


def test_several_outputs_are_objects_of_rows_or_an_object_of_columns(two: Served) -> None:
    """Named outputs form one object per row, or one of columns; bytes are Base64 under `_bytes`."""
    tags = [{"b64": base64.b64encode(tag).decode()} for tag in (b"foo", b"\xff\x00")]
    signals = [[1, 5], [2, 2.5]]
    rows = [{"tag": tag, "signal": signal} for tag, signal in zip(tags, signals, strict=True)]

    assert ask(two, {"instances": rows}) == (
        200,
        {"predictions": [{"tag_bytes": tags[0], "sum": 6.0}, {"tag_bytes": tags[1], "sum": 4.5}]},
    )
    assert ask(two, {"inputs": {"tag": tags, "signal": signals}}) == (
        200,
        {"outputs": {"tag_bytes": tags, "sum": [6.0, 4.5]}},
    )


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1.5, "b": "x"}, {"b": "y", "a": None}],
        [[1.5, "x"], [None, "y"]],
    ],
)
def test_a_table_takes_records_and_rows(table: Served, rows: Any) -> None:
    """Rows are objects or lists, and NaN in an answer becomes null."""
    assert ask(table, {"instances": rows}) == (200, {"predictions": [3.0, None]})


def test_a_table_takes_columns(table: Served) -> None:
    """Columns are taken by name, and NaN is accepted as Python writes it."""
    body = b'{"inputs": {"a": [1.5, NaN], "b": ["x", "y"]}}'
    response = requests.post(table.url + PREDICT, data=body, timeout=60)

    assert (response.status_code, response.json()) == (200, {"outputs": [3.0, None]})


@pytest.mark.parametrize(
    ("parameters", "predicted"),
    [
        ({"method": "score"}, 4.5),
        ({"method": "predict"}, 3.0),
        ({"other": "score"}, 3.0),
        ({}, 3.0),
        (None, 3.0),
    ],
)
def test_parameters_choose_the_method(table: Served, parameters: Any, predicted: float) -> None:
    """The method is chosen in `parameters`, as Vertex AI sends it; without, it is the default."""
    asked = {"instances": [[1.5, "x"]], "parameters": parameters}
    assert ask(table, asked) == (200, {"predictions": [predicted]})


@pytest.mark.parametrize("parameters", [["score"], "score", 1, False])
def test_parameters_are_an_object(table: Served, parameters: Any) -> None:
    """Anything but an object as `parameters` gets 400."""
    status, answer = ask(table, {"instances": [[1.5, "x"]], "parameters": parameters})
    assert status == 400
    assert answer["error"].startswith("expected parameters as an object, got ")


@pytest.mark.parametrize("method", ["Score", "", "__init__", 1, None, ["score"]])
def test_an_unknown_method_is_refused(table: Served, method: Any) -> None:
    """The error for an unknown method lists those of the model."""
    asked = {"instances": [[1.5, "x"]], "parameters": {"method": method}}
    status, answer = ask(table, asked)
    assert status == 400
    assert answer["error"].startswith("expected method as one of predict, score, got ")


def test_other_models_get_the_parameters_as_meta() -> None:
    """A model without methods gets the body's `parameters` as its meta."""
    with served(Whole()) as server:
        asked = {"inputs": {"text": "hi"}, "parameters": {"temperature": 0.5}}
        assert ask(server, asked) == (
            200,
            {"outputs": {"got": {"text": "hi"}, "meta": {"temperature": 0.5}}},
        )


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "image/png",
        "",
    ],
)
def test_the_content_type_does_not_matter(half: Served, content_type: str) -> None:
    """Any Content-Type is accepted, since `curl -d` declares JSON as a form (kserve#3117)."""
    with connected(half.url) as connection:
        asked = post(b'{"instances": [1]}', PREDICT, content_type=content_type)
        assert connection.ask(asked).body == b'{"predictions":[2.5]}'
        parts = (b'{"inst', b'ances": [1]}')
        assert connection.ask(chunked(*parts, path=PREDICT)).body == b'{"predictions":[2.5]}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "expected one of instances, inputs in the body, got an empty object"),
        ({"data": []}, "expected one of instances, inputs in the body, got an object with data"),
        (
            {"instances": [1], "inputs": [1]},
            "expected one of instances, inputs in the body, got instances and inputs",
        ),
        ([1], "expected a JSON object as the body, got a list"),
        ({"instances": 1}, "expected instances as a list, got a number"),
        ({"instances": {"x": 1}}, "expected instances as a list, got an object"),
        ({"instances": "1"}, "expected instances as a list, got a string"),
        (
            {"instances": [[1], [1, 2]]},
            (
                "input 'x': expected float32 of shape [n], in lists of equal length;"
                " row 0 has 1 value, row 1 has 2 values"
            ),
        ),
        (
            {"instances": [{"y": 1}]},
            "expected 'x' (float32 of shape [n]), by name; missing: x; unknown: y",
        ),
        (
            {"instances": [1], "signature_name": "regress"},
            "expected signature_name as 'serving_default', got 'regress'",
        ),
        (
            {"instances": [1], "signature_name": ["x"]},
            "expected signature_name as 'serving_default', got ['x']",
        ),
    ],
)
def test_a_wrong_body_is_a_400_that_says_what_is_wrong(half: Served, body: Any, why: str) -> None:
    """A wrong body gets 400 with only `error`, as TensorFlow's and KServe's clients expect."""
    assert ask(half, body) == (400, {"error": why})


def test_a_cloud_event_in_structured_mode_is_a_415(half: Served) -> None:
    """CloudEvents are accepted in binary mode, and refused by name in structured mode."""
    instances = {"instances": [1]}
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": instances}
    assert ask(half, event) == (
        415,
        {
            "error": "expected an object with instances or inputs, got a CloudEvent in structured"
            " mode; binary mode, with the headers ce-*, is accepted"
        },
    )
    headers = {f"ce-{name}": value for name, value in event.items() if name != "data"}
    answer = requests.post(half.url + PREDICT, json=instances, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [2.5]})


@pytest.mark.parametrize("body", [b"", b"{", b'{"instances": [1]} x', b"\xff\xfe\xfd", b"a=b"])
def test_no_json_is_a_400(half: Served, body: bytes) -> None:
    """A body that is not JSON gets 400."""
    response = requests.post(half.url + PREDICT, data=body, timeout=60)
    assert response.status_code == 400
    assert response.json()["error"].startswith("Can't find JSON in data: ")


def test_bytes_in_the_alphabet_of_urls_are_refused_by_its_name(two: Served) -> None:
    """URL-safe Base64 gets 400: TensorFlow Serving has only the other one (tf serving#1141)."""
    status, answer = ask(two, {"instances": [{"tag": {"b64": URL_SAFE}, "signal": [1, 2]}]})

    assert status == 400
    assert answer["error"].endswith(
        f"got '{URL_SAFE}': its alphabet is A-Z, a-z, 0-9, + and /, not that of URLs"
    )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/v1/models/other:predict", "expected the model 'model', got 'other'"),
        ("/v1/models/a/b:predict", "expected the model 'model', got 'a/b'"),
        (f"{MODEL}/versions/2:predict", "expected version '1' of 'model', got '2'"),
        (f"{MODEL}/labels/stable:predict", "labels of versions are not supported"),
        (f"{MODEL}:classify", "classify is not supported, only predict"),
        (f"{MODEL}:regress", "regress is not supported, only predict"),
        (f"{MODEL}:explain", "explain is not supported, only predict"),
        ("/v1/nowhere", "there is no /v1/nowhere here"),
    ],
)
def test_the_404_of_an_unknown_path_names_the_known_ones(half: Served, path: str, why: str) -> None:
    """A wrong address gets 404 that names the served model, version or method."""
    assert ask(half, {"instances": [1]}, path) == (404, {"error": why})


def test_another_method_is_a_405(half: Served) -> None:
    """GET on a predict address gets 405; KServe's 404 looks like a missing model (kserve#3007)."""
    with connected(half.url) as connection:
        answer = connection.ask(get(PREDICT))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert json.loads(answer.body) == {"error": f"expected POST for {PREDICT}, got GET"}


def test_the_state_is_in_the_metadata_of_both_protocols(half: Served) -> None:
    """The model's state has KServe's two keys and TensorFlow Serving's one."""
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert requests.get(half.url + path, timeout=60).json() == {
            "name": "model",
            "ready": True,
            "model_version_status": [available],
        }
    assert requests.get(half.url + "/v1/models", timeout=60).json() == {"models": ["model"]}
    assert requests.get(half.url + "/", timeout=60).json() == {"status": "alive"}
    page = requests.get(half.url, headers={"Accept": "text/html"}, timeout=60)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"instances": [[1.5, "x"]]}, 200),
        ({"instances": [{"a": 1.5, "b": "x"}]}, 200),
        ({"inputs": {"a": [1.5], "b": ["x"]}}, 200),
        ({"instances": [["x", 1.5]]}, 400),
        ({"instances": [[1.5]]}, 400),
        ({"rows": []}, 400),
    ],
)
def test_openapi_describes_what_is_answered(table: Served, body: Any, status: int) -> None:
    """The server answers what the OpenAPI schema allows, and refuses what it does not."""
    document = requests.get(f"{table.url}/openapi.json", timeout=60).json()
    asked = document["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
    assert Draft202012Validator(asked["schema"]).is_valid(body) is (status == 200)
    assert ask(table, body)[0] == status


def test_without_pages_the_server_is_alive_to_browsers_too() -> None:
    """Without pages, `/` answers browsers as it answers KServe's client."""
    with served(HalfPlusTwo(), pages=False) as server:
        told = requests.get(server.url, headers={"Accept": "text/html"}, timeout=60)
        assert told.json() == {"status": "alive"}


def test_the_metadata_are_tensorflow_servings(half: Served, table: Served) -> None:
    """Sizes are strings, like 64-bit numbers in protobuf's JSON; columns are inputs of one axis."""
    x = {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "x",
    }
    told = requests.get(f"{half.url}{MODEL}/metadata", timeout=60).json()
    assert told["model_spec"] == {"name": "model", "signature_name": "", "version": "1"}
    assert told["metadata"] == {
        "signature_def": {
            "signature_def": {
                "serving_default": {
                    "inputs": {"x": x},
                    "outputs": {"y": {**x, "name": "y"}},
                    "method_name": "tensorflow/serving/predict",
                }
            }
        }
    }
    columns = requests.get(f"{table.url}{MODEL}/metadata", timeout=60).json()["metadata"]
    described = columns["signature_def"]["signature_def"]["serving_default"]
    sizes = [each["size"] for each in described["outputs"]["outputs"]["tensor_shape"]["dim"]]
    assert (list(described["outputs"]), sizes) == (["outputs"], ["-1", "2"])
    assert {name: each["dtype"] for name, each in described["inputs"].items()} == {
        "a": "DT_DOUBLE",
        "b": "DT_STRING",
    }


def test_name_and_version_are_settings() -> None:
    """Name and version in the address may be escaped, and Seldon's routes still work."""
    with served(HalfPlusTwo(), model_name="half plus two", model_version="v3") as server:
        path = "/v1/models/half%20plus%20two/versions/v3:predict"
        assert ask(server, {"instances": [1]}, path) == (200, {"predictions": [2.5]})
        seldon = {"data": {"ndarray": [1.0]}}
        assert requests.post(f"{server.url}/predict", json=seldon, timeout=60).json()["data"] == {
            "names": [],
            "ndarray": [2.5],
        }


def test_a_model_that_returns_no_rows_accepts_one_instance() -> None:
    """A model that answers a request as a whole gets one instance; more get 400."""
    with served(Whole()) as server:
        assert ask(server, {"instances": [{"a": 1}]}) == (
            200,
            {"predictions": [{"got": [{"a": 1}], "meta": {}}]},
        )
        why = "expected one instance, since this model answers a request as a whole, got 2"
        assert ask(server, {"instances": [{"a": 1}, {"a": 2}]}) == (400, {"error": why})


def test_a_model_of_raw_messages_answers_seldons_protocol_alone() -> None:
    """A model with only predict_raw gets 501: its hook reads and writes Seldon's messages."""

    class Raw:
        def predict_raw(self, message: Any) -> Any:
            return {"strData": "raw"}

    with serve(Raw()) as server:
        why = "expected a model with predict, got one without"
        assert ask(server, {"inputs": [1]}) == (501, {"error": why})
        told = requests.post(f"{server.url}/invocations", json={"inputs": [1]}, timeout=60)
        assert (told.status_code, told.json()["message"]) == (501, why)


def test_predictions_may_be_of_unequal_length() -> None:
    """Predictions may differ in length, such as the boxes found in images."""
    with served(Boxes()) as server:
        assert ask(server, {"instances": [2, 0, 1]}) == (
            200,
            {"predictions": [[[0.5, 1.0], [0.5, 1.0]], [], [[0.5, 1.0]]]},
        )


def test_too_few_predictions_are_the_models_mistake() -> None:
    """A model that returns too few predictions gets 500, as they cannot be matched to instances."""
    with served(Fewer()) as server:
        assert ask(server, {"instances": [[1], [2]]}) == (
            500,
            {"error": "expected a prediction for each of 2 instances, got 1"},
        )


def test_large_bodies_mean_what_small_ones_do(half: Served) -> None:
    """Bodies beyond 100 kB, which another thread handles, get the same answers and errors."""
    numbers = [float(number) for number in range(30_000)]
    assert ask(half, {"instances": numbers}) == (
        200,
        {"predictions": [number / 2 + 2 for number in numbers]},
    )
    status, answer = ask(half, {"instances": [*numbers, [1.0]]})
    assert (status, answer) == (
        400,
        {"error": "input 'x': expected float32 of shape [n]; row 30000 has 1 value"},
    )


@pytest.mark.parametrize("rows", [[[1, 2.5]], [[1, 2], [3, 4]], [["a", "b"]], [[True]], [1.5, 2]])
def test_rows_share_calls_of_the_model_with_those_of_seldons_protocol(rows: Any) -> None:
    """Equal rows of both protocols have the same batch key, so they share a batch."""
    as_v1 = Reader(Whole())(asked({"instances": rows}))
    assert batch_key(as_v1) == batch_key(decode({"data": {"ndarray": rows}}))
    assert batch_key(as_v1) is not None


def test_records_share_calls_of_the_model_with_those_of_seldons_protocol() -> None:
    """Equal records of both protocols have the same batch key after the model's `prepare`."""
    records = [{"a": 1, "b": "x"}]
    requests = [Reader(Table())(asked({"instances": records})), decode({"jsonData": records})]
    for each in requests:
        each.prepare(Table().prepare)
    assert batch_key(requests[0]) == batch_key(requests[1]) is not None


def asked(body: Any) -> Any:
    """A stand-in for an Exchange with this JSON as its body."""
    return SimpleNamespace(body=json.dumps(body).encode())


def test_predictions_are_counted_as_such(half: Served) -> None:
    """Each form of the predict address counts as `predict`."""
    with served(HalfPlusTwo()) as server:
        for path in (PREDICT, f"{MODEL}%3Apredict", f"{MODEL}/versions/1:predict"):
            ask(server, {"instances": [1]}, path)
        page = requests.get(f"{server.metrics}/metrics", timeout=60).text
    assert 'prepackaged_requests_total{code="200",method="predict"} 3.0' in page


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "YQ==", "serving_default"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["x", "a", "b", "b64", "tag", "signal", "columns", "data", "method", "tags"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)
BODY = st.dictionaries(
    st.sampled_from(["instances", "inputs", "parameters", "signature_name", "x"]), JSON, max_size=3
)


@pytest.mark.parametrize("name", ["half", "two", "table"])
@settings(max_examples=150, deadline=None)
@given(body=BODY | JSON)
def test_no_body_is_the_servers_mistake(
    request: pytest.FixtureRequest, name: str, body: Any
) -> None:
    """Any body gets an answer or 400, never a 5xx."""
    server = request.getfixturevalue(name)
    response = requests.post(server.url + PREDICT, data=json.dumps(body), timeout=60)
    assert response.status_code in (200, 400), response.text
    assert set(response.json()) <= {"predictions", "outputs", "error"}
