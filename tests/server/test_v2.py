"""The Open Inference Protocol over REST, beside Seldon's."""

import gzip
import importlib.metadata
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from rawhttp import chunked, connected, get, post
from v2 import FP64_ROW, INFER, ROW, Echo, ask, call, infer, serve_echo
from waiting import SECONDS, wait_until_in_flight

from prepackaged.component import Component
from prepackaged.signature import Column, Signature
from prepackaged.tables import Columns, Table
from prepackaged.testing import Served, serve

FACTS = (Column("age", "float64"), Column("job", "text"))


class Ages(Component):
    """Takes a table of ages and jobs, and returns twice the ages."""

    batchable = True

    def __init__(self) -> None:
        super().__init__()
        self.signature = Signature(FACTS)
        self.columns = Columns.of(FACTS)
        self.ready = True
        self.seen: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def prepare(self, X: Any, feature_names: Any = None) -> Any:
        return X if isinstance(X, Table) else self.columns.table(X, feature_names)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        self.gate.wait(SECONDS)
        table = self.prepare(X, feature_names)
        self.seen.append(len(table))
        return table.arrays[0] * 2


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server of a loaded Echo."""
    with serve_echo() as served:
        yield served


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v2",
            {
                "name": "prepackaged",
                "version": importlib.metadata.version("prepackaged"),
                "extensions": ["binary_tensor_data", "classification", "model_configuration"],
            },
        ),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models", {"models": ["model"]}),
        ("/v2/models/model/ready", {"name": "model", "ready": True}),
        ("/v2/models/model/versions/1/ready", {"name": "model", "ready": True}),
        (
            "/v2/models/%6dodel",
            {"name": "model", "versions": ["1"], "platform": "echo", "inputs": [], "outputs": []},
        ),
    ],
)
def test_the_metadata_describes_server_and_model(server: Served, path: str, body: Any) -> None:
    """The server's and the model's metadata are answered, also with escaped names in the path."""
    assert ask(server, "GET", path) == (200, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/v2/nowhere", 404, "there is no /v2/nowhere here"),
        ("GET", "/v2/models/iris", 404, "there is no model 'iris' here; 'model' is served"),
        ("POST", "/v2/models/a%20b/infer", 404, "there is no model 'a b' here; 'model' is served"),
        (
            "POST",
            "/v2/models/model/versions/2/infer",
            404,
            "model 'model' has version '1' here, not '2'",
        ),
        ("GET", INFER, 405, "expected POST for /v2/models/model/infer, got GET"),
        (
            "POST",
            "/v2/repository/models/iris/load",
            404,
            "there is no model 'iris' here; 'model' is served",
        ),
    ],
)
def test_an_unknown_path_is_refused_in_this_protocols_form(
    server: Served, method: str, path: str, status: int, text: str
) -> None:
    """An unknown path gets this protocol's error format, which names the served model."""
    assert ask(server, method, path) == (status, {"error": text})


def test_optional_members_may_be_null_or_empty_and_unknown_ones_are_ignored(server: Served) -> None:
    """Optional members may be null or empty and unknown ones are ignored, as clients need it."""
    request = {
        "model_name": "other",
        "model_version": None,
        "id": None,
        "parameters": None,
        "outputs": [],
        "inputs": [{**ROW, "parameters": None}],
    }
    expected = {
        "model_name": "model",
        "model_version": "1",
        "parameters": {"mood": "fine"},
        "outputs": [{**ROW, "name": "output-0", "data": [1.0, 2.0]}],
    }
    assert infer(server, request) == (200, expected)


def test_an_answer_is_compressed_if_the_client_accepts_the_coding(server: Served) -> None:
    """The answer is compressed if the client asks for one coding, not for a browser's list."""
    body = {"inputs": [{**ROW, "shape": [1, 2000], "data": [0.5] * 2000}]}
    for coding, decompress in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        request = post(json.dumps(body).encode(), INFER, f"Accept-Encoding: {coding}")
        with connected(server.url) as connection:
            answer = connection.ask(request)
        assert answer.headers["content-encoding"] == coding
        assert json.loads(decompress(answer.body))["outputs"][0]["data"] == [0.5] * 2000
    request = post(json.dumps(body).encode(), INFER, "Accept-Encoding: gzip, deflate, br")
    with connected(server.url) as connection:
        assert "content-encoding" not in connection.ask(request).headers


def test_chunks_and_a_patient_client_are_answered(server: Served) -> None:
    """Chunked bodies and Expect: 100-continue work."""
    body = json.dumps({"inputs": [ROW]}).encode()
    with connected(server.url) as connection:
        assert connection.ask(chunked(body[:9], body[9:], path=INFER)).status == 200
        waiting = post(body, INFER, "Expect: 100-continue")
        connection.send(waiting.removesuffix(body))
        assert connection.answer(has_body=False).status == 100
        assert connection.ask(body).status == 200


def index(server: Served, body: bytes) -> tuple[int, Any]:
    """Ask for the index of the model repository."""
    return ask(server, "POST", "/v2/repository/index", data=body)


def test_the_index_lists_the_model_and_its_state(server: Served) -> None:
    """The index lists the model; with `ready: true` only if it is ready."""
    entry = {"name": "model", "version": "1", "state": "READY", "reason": ""}
    for body in (b"", b"{}", b'{"ready": false}', b'{"ready": true}'):
        assert index(server, body) == (200, [entry])
    with serve(Echo()) as served:  # the model is not loaded
        for body in (b"", b"{}", b'{"ready": false}'):
            assert index(served, body) == (200, [{**entry, "state": "UNAVAILABLE"}])
        assert index(served, b'{"ready": true}') == (200, [])


@pytest.mark.parametrize("ready", ["1", "0", '"true"', "[]"])
def test_ready_is_a_boolean(server: Served, ready: str) -> None:
    """Any `ready` of the index but true and false gets 400."""
    status, answer = index(server, b'{"ready": %s}' % ready.encode())
    assert status == 400
    assert answer["error"].startswith("expected body.ready as true or false, got ")
    _, answer = index(server, b"[]")
    why = "expected no body, or an object with ready as true or false, got a list"
    assert answer == {"error": why}


def test_large_requests_are_answered_like_small_ones(server: Served) -> None:
    """Requests and answers of more than 100 kB are read and written on other threads."""
    values = [row + 0.25 for row in range(30_000)]
    rows = {**ROW, "shape": [30_000, 1], "data": values}

    status, answer = infer(server, {"inputs": [rows]})

    assert status == 200
    assert answer["outputs"][0]["shape"] == [30_000, 1]
    assert answer["outputs"][0]["data"] == values


def test_pages_of_other_origins_may_read_binary_answers(server: Served) -> None:
    """CORS allows the header that binary answers need."""
    headers = [
        "Origin: http://x",
        "Access-Control-Request-Headers: inference-header-content-length",
    ]
    with connected(server.url) as connection:
        answer = connection.ask(get(INFER, *headers, method="OPTIONS"))
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "inference-header-content-length"


def test_the_same_model_answers_both_protocols_from_one_batch() -> None:
    """Requests of Seldon's protocol and this one share batches."""
    columns = [
        {"name": "job", "datatype": "BYTES", "shape": [1], "data": ["smith"]},
        {"name": "age", "datatype": "INT8", "shape": [1], "data": [20]},
    ]
    of_v2 = post(json.dumps({"inputs": columns}).encode(), INFER)
    of_seldon = post(b'{"jsonData": {"age": 21, "job": "clerk"}}', "/predict")
    model = Ages()
    model.gate.clear()
    with serve(model) as served, ExitStack() as stack:
        stack.callback(model.gate.set)
        connections = [stack.enter_context(connected(served.url)) for _ in range(8)]
        for connection, request in zip(connections, [of_v2, of_seldon] * 4, strict=True):
            connection.send(request)
        wait_until_in_flight(served.metrics, 8)
        model.gate.set()
        answers = [json.loads(connection.answer().body) for connection in connections]
    assert [answer["outputs"][0]["data"] for answer in answers[::2]] == [[40.0]] * 4
    assert [answer["data"]["tensor"]["values"] for answer in answers[1::2]] == [[42.0]] * 4
    assert max(model.seen) > 1


def test_a_model_that_is_not_healthy_is_not_ready() -> None:
    """An unhealthy model is live but not ready; over gRPC, that is `ready: false` and no error."""
    with serve(Echo()) as served:  # the model is not loaded
        assert ask(served, "GET", "/v2/health/live") == (200, {"live": True})
        assert ask(served, "GET", "/v2/health/ready") == (503, {"ready": False})
        assert ask(served, "GET", "/v2/models/model/ready") == (
            503,
            {"name": "model", "ready": False},
        )
        assert call(served, "ServerReady").ready is False
        assert call(served, "ServerLive").live is True


def test_inference_is_counted_as_such(server: Served) -> None:
    """Inference counts as `infer` over REST, with a version or without, and over gRPC."""
    with serve_echo(model_name="m x") as served:
        for path in ("m%20x/infer", "m%20x/versions/1/infer"):
            url = f"{served.url}/v2/models/{path}"
            assert requests.post(url, json={"inputs": [ROW]}, timeout=60).status_code == 200
        contents = {"fp64_contents": [1]}
        call(served, "ModelInfer", model_name="m x", inputs=[{**FP64_ROW, "contents": contents}])
        page = requests.get(f"{served.metrics}/metrics", timeout=60).text
    assert 'prepackaged_requests_total{code="200",method="infer"} 3.0' in page
