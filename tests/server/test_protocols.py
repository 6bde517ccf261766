"""A new protocol beside Seldon's, in thirty lines and without a change elsewhere."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from rawhttp import connected, get

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.inference.requests import InferenceRequest, Prediction
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.grpc.status import Status, response_of
from prepackaged.server.transport.routing import WireProtocol
from prepackaged.testing import Served, serve


def http_failure(exchange: Exchange, error: BaseException) -> Response:
    """Format an error of the echo protocol over REST, as text."""
    status = getattr(error, "status", getattr(error, "status_code", 500))
    return Response(f"no echo: {error}".encode(), status, content_type="text/plain")


def grpc_failure(exchange: Exchange, error: BaseException) -> Response:
    """Format an error of the echo protocol over gRPC."""
    return response_of(Status.INVALID_ARGUMENT, f"no echo: {error}")


def echo(predictor: Predictor) -> WireProtocol:
    """The echo protocol: requests and answers are rows as a JSON list."""

    def ask(exchange: Exchange) -> None:
        request = InferenceRequest(np.array(json.loads(exchange.body)), [])
        request.set_context(exchange)
        exchange.on_cancel = predictor.predict(request, partial(answer, exchange)).cancel

    def answer(exchange: Exchange, outcome: Prediction | BaseException) -> None:
        if isinstance(outcome, BaseException):
            exchange.fail(outcome)
        else:
            exchange.respond(Response(json.dumps(outcome.value.tolist()).encode()))

    return WireProtocol(
        prefix="/echo",
        http_failure=http_failure,
        grpc_failure=grpc_failure,
        routes={"/echo/rows": {"POST": ask}},
        methods={"/test.Echo/Rows": ask},
        counted_as={"/echo/rows": "echo", "/test.Echo/Rows": "echo"},
    )


class Doubling:
    """Doubles its input; fails for one dimension."""

    batchable = True

    def predict(self, X: Any, names: Any) -> Any:
        if X.ndim < 2:
            raise ValueError("rows are wanted")
        return X * 2


@pytest.fixture
def server() -> Iterator[Served]:
    """A server that speaks Seldon's protocol and the echo protocol."""
    with serve(Doubling(), [echo]) as served:
        yield served


def post(server: Served, path: str, body: Any) -> requests.Response:
    """Send JSON."""
    return requests.post(server.url + path, json=body, timeout=60)


def test_both_protocols_reach_the_same_model(server: Served) -> None:
    """Both protocols reach the same model, over REST and gRPC."""
    assert post(server, "/echo/rows", [[1, 2]]).json() == [[2, 4]]
    assert post(server, "/predict", {"data": {"ndarray": [[1, 2]]}}).json()["data"]["ndarray"] == [
        [2, 4]
    ]
    with grpc.insecure_channel(server.grpc) as channel:
        assert channel.unary_unary("/test.Echo/Rows")(b"[[3]]", timeout=60) == b"[[6]]"


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/echo/nowhere", [], 404, "no echo: there is no /echo/nowhere here"),
        ("/echo/rows", [1], 500, "no echo: rows are wanted"),
    ],
)
def test_an_error_has_the_form_of_the_protocol_that_the_path_belongs_to(
    server: Served, path: str, body: Any, status: int, text: str
) -> None:
    """Errors below a protocol's prefix have its format, whether the path exists or not."""
    refused = post(server, path, body)
    assert (refused.status_code, refused.text) == (status, text)
    assert post(server, "/nowhere", body).json()["status"]["reason"] == "MICROSERVICE_NOT_FOUND"
    with connected(server.url) as connection:
        refused = connection.ask(get("/echo/rows")).body
        assert refused == b"no echo: expected POST for /echo/rows, got GET"


def test_an_error_over_grpc_has_the_form_of_its_protocol(server: Served) -> None:
    """An error over gRPC has its protocol's code and text."""
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Echo/Rows")(b"[3]", timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "no echo: rows are wanted"


def test_its_calls_are_counted_under_its_own_name(server: Served) -> None:
    """Calls of the protocol are counted under its own name, over REST and gRPC."""
    post(server, "/echo/rows", [[1]])
    with grpc.insecure_channel(server.grpc) as channel:
        channel.unary_unary("/test.Echo/Rows")(b"[[3]]", timeout=60)
    page = requests.get(f"{server.metrics}/metrics", timeout=60).text
    assert 'prepackaged_requests_total{code="200",method="echo"} 2.0' in page


class Thumbnails:
    """Answers each row with the bytes of a file."""

    def predict(self, X: Any, names: Any) -> Any:
        return np.array([b"\xff\x00", b"cat"], dtype=object)


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (
            "/v1/models/model:predict",
            {"instances": [[1], [2]]},
            {"predictions": [{"b64": "/wA="}, {"b64": "Y2F0"}]},
        ),
        (
            "/invocations",
            {"inputs": [[1], [2]]},
            {"predictions": [{"b64": "/wA="}, {"b64": "Y2F0"}]},
        ),
    ],
)
def test_bytes_in_answers_are_base64(path: str, body: Any, answer: Any) -> None:
    """Bytes become `{"b64": ...}`, the form in which requests have them (TensorFlow Serving)."""
    with serve(Thumbnails()) as served:
        response = requests.post(served.url + path, json=body, timeout=60)
        assert (response.status_code, response.json()) == (200, answer)
