"""`prepackaged.request_headers` in hooks, over REST and gRPC, with and without batches."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
import requests
from rawhttp import WAYS, Connection, connected, get, post
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS, wait_until_in_flight

from prepackaged import request_headers
from prepackaged.testing import Served, serve

ROW = b'{"data": {"ndarray": [[1]]}}'


def caller() -> str:
    """The caller's name, from the request's headers."""
    return request_headers()["X-Caller"]


class Everywhere:
    """Every hook answers with the caller's name."""

    def predict(self, X: Any, names: Any) -> Any:
        return [[caller()]]

    def class_names(self) -> list[str]:
        return [f"for {caller()}"]

    def tags(self) -> dict[str, str]:
        return {"caller": caller()}

    def metrics(self) -> list[dict[str, Any]]:
        return [{"key": "calls", "type": "COUNTER", "value": 1, "tags": {"caller": caller()}}]

    def transform_input(self, X: Any, names: Any) -> str:
        return caller()

    def transform_output(self, X: Any, names: Any) -> str:
        return caller()

    def route(self, X: Any, names: Any) -> int:
        return len(caller())

    def aggregate(self, Xs: Any, names: Any) -> str:
        return caller()

    def send_feedback(self, X: Any, names: Any, reward: float, truth: Any, routing: Any) -> str:
        return caller()

    def health_status(self) -> str:
        return caller()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server whose hooks all read headers."""
    with serve(Everywhere()) as served:
        yield served


@pytest.mark.parametrize("path", WAYS)
def test_all_hooks_of_a_prediction_read_the_headers(server: Served, path: str) -> None:
    """Predict, class_names, tags and metrics read the request's headers."""
    with connected(server.url) as connection:
        for name in ("ann", "bob"):
            answer = json.loads(connection.ask(post(ROW, path, f"x-CALLER: {name}")).body)
            (metric,) = answer["meta"]["metrics"]
            assert answer["data"] == {"names": [f"for {name}"], "ndarray": [[name]]}
            assert answer["meta"]["tags"] == {"caller": name}
            assert metric["tags"]["caller"] == name


MESSAGE = {"strData": "x"}
OTHERS: dict[str, tuple[Any, Any]] = {
    "/transform-input": (MESSAGE, {"strData": "ann"}),
    "/transform-output": (MESSAGE, {"strData": "ann"}),
    "/route": (
        MESSAGE,
        {"data": {"tensor": {"shape": [1, 1], "values": [3]}, "names": ["for ann"]}},
    ),
    "/aggregate": ([MESSAGE], {"strData": "ann"}),
    "/send-feedback": ({"request": MESSAGE}, {"strData": "ann"}),
}


@pytest.mark.parametrize("path", OTHERS)
def test_the_hooks_of_other_methods_read_the_headers(server: Served, path: str) -> None:
    """The hooks of the other methods read the request's headers."""
    message, expected = OTHERS[path]
    headers = {"X-Caller": "ann"}
    answer = requests.post(server.url + path, json=message, headers=headers, timeout=SECONDS)
    assert {key: value for key, value in answer.json().items() if key != "meta"} == expected


def test_health_reads_the_headers(server: Served) -> None:
    """The health hook reads the headers of its request."""
    with connected(server.url) as connection:
        answer = connection.ask(get("/health/status", "X-Caller: probe"))
    assert answer.text == "probe"


@pytest.mark.parametrize(
    ("service", "method", "request_type"),
    [
        ("Model", "Predict", "SeldonMessage"),
        ("Seldon", "Predict", "SeldonMessage"),
        ("Transformer", "TransformInput", "SeldonMessage"),
        ("OutputTransformer", "TransformOutput", "SeldonMessage"),
        ("Combiner", "Aggregate", "SeldonMessageList"),
        ("Model", "SendFeedback", "Feedback"),
    ],
)
def test_calls_over_grpc_have_metadata_as_headers(
    server: Served, service: str, method: str, request_type: str
) -> None:
    """Over gRPC, the call's metadata are the headers."""
    message = prediction_pb2.SeldonMessage(strData="x")
    listed = prediction_pb2.SeldonMessageList(seldonMessages=[message])
    feedback = prediction_pb2.Feedback(request=message)
    given = {"SeldonMessage": message, "SeldonMessageList": listed, "Feedback": feedback}
    with grpc.insecure_channel(server.grpc) as channel:
        stub = getattr(prediction_pb2_grpc, f"{service}Stub")(channel)
        call = getattr(stub, method)
        answer = call(given[request_type], timeout=SECONDS, metadata=[("x-caller", "ann")])
    assert answer.meta.tags["caller"].string_value == "ann"
    assert (answer.strData or answer.data.ndarray[0][0]) == "ann"


class Sees:
    """Stores the headers of its latest call."""

    def predict(self, X: Any, names: Any) -> str:
        self.headers = request_headers()
        return "seen"

    def predict_raw(self, message: Any) -> Any:
        self.headers = request_headers()
        return message


@pytest.mark.parametrize("path", WAYS)
def test_headers_are_a_mapping_of_all_that_came(path: str) -> None:
    """Headers are a case-insensitive mapping: repeated ones are joined, connection ones absent."""
    model = Sees()
    with serve(model) as server, connected(server.url) as connection:
        connection.ask(post(ROW, path, "X-One: 1", "x-two: a", "X-TWO: b", "X-Umlaut: \xfc"))
    assert dict(model.headers) == {
        "host": "localhost",
        "content-type": "application/json",
        "content-length": str(len(ROW)),
        "x-one": "1",
        "x-two": "a, b",
        "x-umlaut": "\xfc",
    }
    assert "X-ONE" in model.headers
    assert model.headers.get("X-None") is None


def test_a_raw_hook_over_grpc_reads_metadata_and_nothing_of_http2s() -> None:
    """Over gRPC, headers have the metadata and no HTTP/2 pseudo-headers."""
    model = Sees()
    with serve(model) as server, grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_pb2_grpc.ModelStub(channel)
        metadata = [("x-one", "1"), ("x-two-bin", b"\x00\xff")]
        stub.Predict(prediction_pb2.SeldonMessage(strData="x"), metadata=metadata, timeout=SECONDS)
    assert model.headers["X-One"] == "1"
    assert model.headers["x-two-bin"].rstrip("=") == "AP8"  # Base64, as it was sent
    assert [name for name in model.headers if name.startswith(":")] == []


def test_outside_of_a_request_there_are_no_headers() -> None:
    """Outside a request, as in `load` or in the model's own threads, request_headers() raises."""
    with pytest.raises(RuntimeError, match="no headers: outside of a request"):
        request_headers()


class Batched:
    """A batchable model that reads headers in predict, or only in tags."""

    batchable = True

    def __init__(self, *, asks_in_predict: bool) -> None:
        self.asks_in_predict = asks_in_predict
        self.gate = threading.Event()
        self.rows: list[int] = []

    def predict(self, X: Any, names: Any) -> Any:
        self.gate.wait(SECONDS)
        self.rows.append(len(X))
        return X + int(caller()) if self.asks_in_predict else X

    def tags(self) -> dict[str, str]:
        return {"caller": caller()}


def asked_together(model: Batched, count: int, turns: int) -> list[tuple[Any, str]]:
    """Values and callers in the answers; the first requests wait together behind the gate.

    Later requests do not wait: a fast model runs on the event loop, which waiting would block.
    """
    found = []
    with ExitStack() as stack:
        server = stack.enter_context(serve(model))
        stack.callback(model.gate.set)
        connections = [stack.enter_context(connected(server.url)) for _ in range(count)]
        for _ in range(turns):
            for number, connection in enumerate(connections):
                rows = b'{"data": {"ndarray": [[%d]]}}' % (100 * number)
                connection.send(post(rows, WAYS[0], f"X-Caller: {number}"))
            if not model.gate.is_set():
                wait_until_in_flight(server.metrics, count)
                model.gate.set()
            found += [value_and_caller(connection) for connection in connections]
    return found


def value_and_caller(connection: Connection) -> tuple[Any, str]:
    """The value and the caller's name in an answer."""
    answer = json.loads(connection.answer().body)
    return answer["data"]["ndarray"], answer["meta"]["tags"]["caller"]


def test_tags_in_a_batch_are_each_requests_own() -> None:
    """In a batch, tags are called for each request with that request's headers."""
    model = Batched(asks_in_predict=False)
    found = asked_together(model, count=8, turns=5)
    assert found == [([[100 * number]], str(number)) for number in range(8)] * 5
    assert max(model.rows) > 1


def test_a_batchable_model_that_asks_in_predict_is_asked_one_by_one() -> None:
    """A batchable model that reads headers in predict is called for each request alone."""
    model = Batched(asks_in_predict=True)
    found = asked_together(model, count=8, turns=5)
    assert found == [([[100 * number + number]], str(number)) for number in range(8)] * 5
    assert max(model.rows) > 1  # batching was tried
