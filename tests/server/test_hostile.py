"""Responses are bounded: no request makes the server answer, or work, out of proportion."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from rawhttp import PREDICT, chunked, connected, get, post, text
from waiting import SECONDS

from prepackaged.server.protocols import protobuf_reading
from prepackaged.testing import Served, serve

PART = '--B\r\nContent-Disposition: form-data; name="x{}"\r\n\r\n1\r\n'
MULTIPART = "multipart/form-data; boundary=B"
FORM = "application/x-www-form-urlencoded"


class Mirror:
    """Returns its input; a text that begins with `fail` is quoted in an error."""

    def predict(self, X: Any, names: Any) -> Any:
        if isinstance(X, str) and X.startswith("fail"):
            raise ValueError(X)
        return X


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server with default settings."""
    with serve(Mirror()) as served:
        yield served


def test_a_form_of_too_many_parts_is_413(server: Served) -> None:
    """A form with more than 1000 parts, Werkzeug's limit, gets 413 and not 500."""
    body = "".join(PART.format(number) for number in range(1001)) + "--B--\r\n"
    with connected(server.url) as connection:
        answer = connection.ask(post(body.encode(), content_type=MULTIPART))
    assert (answer.status, answer.info) == (
        413,
        "expected a form of at most 1000 parts, got more",
    )


def test_a_form_that_comes_in_chunks_is_read(server: Served) -> None:
    """A form without Content-Length, sent in chunks, is read."""
    body = b"json=" + text("hello")
    request = chunked(body[:7], body[7:]).replace(b"application/json", FORM.encode())
    with connected(server.url) as connection:
        assert connection.ask(request).text == "hello"


def test_a_sequence_of_json_is_no_json(server: Served) -> None:
    """application/json-seq (RFC 7464) is not read as JSON."""
    with connected(server.url) as connection:
        request = post(text("hello"), content_type="application/json-seq")
        assert connection.ask(request).status == 400
        for kind in ("application/json", "Application/JSON ; charset=utf-8"):
            assert connection.ask(post(text("hello"), content_type=kind)).text == "hello"


@pytest.mark.parametrize("size", [65, 40_000])
def test_a_shape_of_too_many_sizes_is_refused_before_it_is_multiplied(
    server: Served, size: int
) -> None:
    """A shape of more than 64 sizes is refused first: multiplying that many takes seconds."""
    body = json.dumps({"data": {"tensor": {"shape": [10**9] * size, "values": [1]}}}).encode()
    with connected(server.url) as connection:
        answer = connection.ask(post(body))
    expected = (400, f"expected a shape of at most 64 sizes, got {size}")
    assert (answer.status, answer.info) == expected


@pytest.mark.parametrize(
    "request_of",
    [
        get("/" + "x" * 60_000),
        get("/" + "x" * 60_000, method="DELETE"),
        post(text("fail" + "x" * 1_000_000)),
        post(json.dumps({"data": {"names": ["x" * 1_000_000, []]}}).encode()),
        post(json.dumps({"data": {"tensor": {"shape": ["x" * 100_000]}}}).encode()),
        post(b"{}", content_type="x" * 60_000),
        post(b"{}", PREDICT, "Content-Encoding: " + "x" * 60_000),
    ],
    ids=["path", "method", "model's error", "names", "shape", "type", "coding"],
)
def test_no_error_repeats_all_that_was_sent(server: Served, request_of: bytes) -> None:
    """Error responses are at most about two kilobytes, however long the quoted input is."""
    with connected(server.url) as connection:
        answer = connection.ask(request_of)
    assert answer.status >= 400
    assert len(answer.body) < 2300


def test_pages_of_other_origins_may_call_the_model_by_default(server: Served) -> None:
    """CORS is on by default, as in upstream's server, and never on the metrics port."""
    origin, wish = "Origin: http://a.example", "Access-Control-Request-Headers: x-id"
    with connected(server.url) as connection, connected(server.metrics) as metrics:
        for path in (PREDICT, "/health/ping", "/nowhere"):
            answer = connection.ask(get(path, origin))
            assert answer.headers["access-control-allow-origin"] == "*"
        for path in ("/metrics", "/nowhere"):
            assert "access-control-allow-origin" not in metrics.ask(get(path, origin)).headers
    with serve(Mirror(), cors=False) as closed, connected(closed.url) as connection:
        for request in (post(text("hi")), get(PREDICT, origin, wish, method="OPTIONS")):
            names = connection.ask(request).headers
            assert not [name for name in names if name.startswith("access-control")]


EMPTY = b"\x0a\x00" * 60_000
TOO_MANY = "expected at most 50000 parts in a message, got more"
TOO_LONG = "expected a message of at most 65536 bytes, got 120000"


@pytest.mark.parametrize(
    ("path", "message", "details"),
    [
        ("/seldon.protos.Model/Predict", b"\x1a\xc0\xa9\x07" + EMPTY, TOO_MANY),
        ("/seldon.protos.Combiner/Aggregate", EMPTY, TOO_MANY),
        ("/inference.GRPCInferenceService/ModelInfer", b"\x2a\x00" * 60_000, TOO_MANY),
        ("/inference.GRPCInferenceService/ModelReady", EMPTY, TOO_LONG),
        ("/inference.GRPCInferenceService/ServerLive", EMPTY, TOO_LONG),
        ("/grpc.health.v1.Health/Check", EMPTY, TOO_LONG),
    ],
)
def test_a_message_of_too_many_empty_parts_is_refused(
    server: Served, monkeypatch: pytest.MonkeyPatch, path: str, message: bytes, details: str
) -> None:
    """Protobuf would read it in one step, and nobody else would have a turn."""
    monkeypatch.setattr(protobuf_reading, "MOST_PARTS", 50_000)
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path)(message, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == details
