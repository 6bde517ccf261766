"""HTTP/1, HTTP/2 and gRPC on REST's port, because Knative gives a server only one port."""

import gzip
import json
import math
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from http2 import Http2Client, http2
from hypothesis import given, settings
from hypothesis import strategies as st
from rawhttp import connected, get, post
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import wait_until, wait_until_in_flight

from prepackaged import request_headers
from prepackaged.server.transport import eviction
from prepackaged.server.transport.http1 import port as http_port
from prepackaged.server.transport.http2 import connection as http2_connection
from prepackaged.server.transport.one_port import first_bytes
from prepackaged.server.transport.one_port import requests as streams
from prepackaged.testing import Served, serve

JSON = ("content-type", "application/json")
PREDICT = "/api/v1.0/predictions"
ROWS = b'{"data":{"ndarray":[[1,2]]}}'
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGE = json.dumps({"data": {"ndarray": np.arange(200_000).reshape(-1, 2).tolist()}}).encode()
MOST = 4 * 2**20
SOON = 0.05  # seconds, for timeouts that a test lets expire
LOOKS = 5  # idle checks of a connection: enough to find it idle
GRPC = (("content-type", "application/grpc"), ("te", "trailers"))
SERVING = bytes.fromhex("00 00000002 0801")  # HealthCheckResponse, status 1
CANCEL = 8  # RFC 9113, 7


class Mirror:
    """Returns its input; for a text, the request's Host and Cookie headers."""

    def predict(self, X: Any, names: Any) -> Any:
        if isinstance(X, str):
            return {"host": request_headers()["host"], "cookie": request_headers()["cookie"]}
        return X


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server with a limit for bodies; the tests use its REST port only."""
    with serve(Mirror(), max_body=MOST) as served:
        yield served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Http2Client]:
    """One HTTP/2 connection, on which tests send one request after another."""
    with http2(server.url) as client:
        yield client


GZIP = ("content-encoding", "gzip")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("POST", PREDICT, ROWS, [JSON]),
        ("POST", f"{PREDICT}?way=query", ROWS, [JSON]),
        ("GET", f"/predict?json={ROWS.decode()}", b"", []),
        ("POST", PREDICT, b"json=" + ROWS, [("content-type", "application/x-www-form-urlencoded")]),
        ("POST", PREDICT, gzip.compress(ROWS), [JSON, GZIP]),
        ("POST", PREDICT, gzip.compress(LARGE), [JSON, ("content-encoding", "GZIP")]),
        ("POST", PREDICT, b"no gzip", [JSON, GZIP]),
        ("POST", PREDICT, gzip.compress(b" " * (MOST + 1)), [JSON, GZIP]),
        ("POST", PREDICT, ROWS, [JSON, ("content-encoding", "br")]),
        ("POST", PREDICT, ROWS, [JSON, ("content-encoding", "identity")]),
        ("POST", PREDICT, LARGE, [JSON]),
        ("POST", PREDICT, b" " * (MOST + 1), [JSON]),
        ("POST", PREDICT, b"{", [JSON]),
        ("POST", PREDICT, b"", [JSON]),
        ("GET", PREDICT, b"", []),
        ("DELETE", "/v1/models", b"", []),
        ("GET", "/nowhere?x=1", b"", []),
        ("OPTIONS", PREDICT, b"", [("access-control-request-headers", "content-type")]),
        ("GET", "/health/ping", b"", []),
        ("GET", "/health/status", b"", []),
        ("GET", "/metadata", b"", []),
        ("GET", "/v1/models/model", b"", []),
        ("GET", "/v1/models/model%3Apredict", b"", []),
        ("POST", "/v1/models/model:predict", b'{"instances":[1]}', []),
        ("POST", "/invocations", b"1,2", [("content-type", "text/csv"), ("accept", "text/csv")]),
        ("GET", "/" + "x" * 70_000, b"", []),
        ("GET", "/health/ping", b"", [("x-large", "x" * 70_000)]),
    ],
)  # fmt: skip
def test_rest_is_the_same_over_both_versions_of_http(
    server: Served, client: Http2Client, method: str, path: str, body: bytes, headers: Any
) -> None:
    """Status, body and headers are equal, except date and connection (RFC 9113, 8.2.2)."""
    old = requests.request(method, server.url + path, data=body, headers=dict(headers), timeout=60)
    new = client.ask(method, path, body, *headers)

    assert (new.status, new.body) == (old.status_code, old.content)
    not_compared = {"date", "connection"}
    expected = {name.lower(): value for name, value in old.headers.items()}
    assert {name: value for name, value in new.headers.items() if name not in not_compared} == {
        name: value for name, value in expected.items() if name not in not_compared
    }


VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "TRACE", "PRI", "get"]) | VISIBLE,
    path=st.sampled_from(["*", "//", "http://a/predict", "/%ff", "/predict?%", "/v1/models/%"])
    | VISIBLE,
    fields=st.lists(
        st.tuples(
            st.sampled_from(
                ["expect", "content-encoding", "content-type", "accept", "host", "te", "x"]
            ),
            st.sampled_from(["100-continue", "gzip", "application/grpc+x", "trailers"]) | VISIBLE,
        ),
        max_size=3,
    ),
    body=st.sampled_from([b"", b"{}", ROWS, b"\0\0\0\0\0"]),
)
def test_no_request_is_the_servers_mistake(
    server: Served, method: str, path: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    """Any request is answered, refused as the client's mistake or reset; none gives a 5xx."""
    with http2(server.url) as client:
        answer = client.ask(method, path, body, *fields)
        assert answer.status in range(200, 500) or answer.reset is not None
        assert client.ask("GET", "/health/ping").body == b"pong"


@pytest.mark.parametrize(
    ("path", "status"), [(PREDICT, 200), ("/v2/models/model/infer", 400), ("/nowhere", 404)]
)
def test_a_response_repeats_the_ids_of_its_request(
    server: Served, client: Http2Client, path: str, status: int
) -> None:
    """X-Request-Id and Seldon-Puid come back, over HTTP/1 and HTTP/2 and with errors too."""
    ids = {"x-request-id": "1b4e28ba-2fa1", "seldon-puid": "p1"}
    headers = {"Content-Type": "application/json", **ids}
    over_http1 = requests.post(f"{server.url}{path}", ROWS, headers=headers, timeout=10)
    over_http2 = client.ask("POST", path, ROWS, JSON, *ids.items())

    assert (over_http1.status_code, over_http2.status) == (status, status)
    assert ids.items() <= {k.lower(): v for k, v in over_http1.headers.items()}.items()
    assert ids.items() <= over_http2.headers.items()


def test_a_long_text_is_no_id_to_repeat(server: Served, client: Http2Client) -> None:
    """An ID of more than 256 bytes is not repeated; the request is still answered."""
    long = ("x-request-id", "1" * 257)
    over_http1 = requests.get(f"{server.url}/health/ping", headers=dict([long]), timeout=10)
    over_http2 = client.ask("GET", "/health/ping", b"", long)

    assert (over_http1.text, over_http2.body) == ("pong", b"pong")
    assert "x-request-id" not in over_http1.headers
    assert "x-request-id" not in over_http2.headers


def test_head_has_the_length_and_no_body(client: Http2Client) -> None:
    """HEAD gets GET's Content-Length and no body (RFC 9110, 9.3.2)."""
    answer = client.ask("HEAD", "/health/ping")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "4", b"")


def test_a_model_reads_the_headers_as_over_http1(client: Http2Client) -> None:
    """:authority becomes Host, and split cookies are joined (RFC 9113, 8.2.3 and 8.3.1)."""
    parts = [("cookie", "a=1"), ("cookie", "b=2")]
    answer = client.ask("POST", PREDICT, b'{"strData":"x"}', JSON, *parts)
    assert json.loads(answer.body)["jsonData"] == {"host": "localhost", "cookie": "a=1; b=2"}


def test_a_body_of_unknown_length_is_accepted(client: Http2Client) -> None:
    """A body without Content-Length is accepted up to the limit; beyond it, it gets 413."""
    stream = client.begin("POST", PREDICT, JSON, ends=False)
    client.send(stream, LARGE)
    assert json.loads(client.answer(stream).body)["data"]["ndarray"][-1] == [199_998, 199_999]
    stream = client.begin("POST", PREDICT, JSON, ends=False)
    client.send(stream, b" " * (MOST + 100_000))
    assert client.answer(stream).status == 413


def test_a_client_that_expects_100_continue_gets_it(client: Http2Client) -> None:
    """The server answers Expect: 100-continue with 100, as curl needs for larger bodies."""
    expects = ("expect", "100-continue")
    stream = client.begin("POST", PREDICT, JSON, expects, ends=False)
    while not client.answers[stream].informational:
        client.read()
    client.send(stream, ROWS)
    answer = client.answer(stream)
    assert (answer.informational, answer.status) == ([100], 200)


def test_many_requests_share_a_connection(client: Http2Client) -> None:
    """Concurrent requests on one connection each get their own answer."""
    asked = {}
    for number in range(50):
        stream = client.begin("POST", PREDICT, JSON, ends=False)
        client.send(stream, b'{"data":{"ndarray":[[%d]]}}' % number)
        asked[stream] = number
    for stream, number in asked.items():
        assert json.loads(client.answer(stream).body)["data"]["ndarray"] == [[number]]


def test_grpc_is_answered_on_rests_port(server: Served) -> None:
    """Predictions, health and errors over gRPC work on REST's port as on gRPC's own."""
    with grpc.insecure_channel(server.url.removeprefix("http://")) as channel:
        model = prediction_pb2_grpc.ModelStub(channel)
        assert (
            model.Predict(prediction_pb2.SeldonMessage(binData=b"hi"), timeout=60).binData == b"hi"
        )
        health = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=60
        )
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            model.Predict(prediction_pb2.SeldonMessage(), timeout=60)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/no.Such/Method")(b"", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_if_grpc_is_off_it_is_off_on_rests_port_too() -> None:
    """With gRPC switched off, calls on REST's port get UNIMPLEMENTED."""
    with (
        serve(Mirror(), serves_grpc=False) as server,
        grpc.insecure_channel(server.url.removeprefix("http://")) as channel,
    ):
        with pytest.raises(grpc.RpcError) as caught:
            prediction_pb2_grpc.ModelStub(channel).Predict(
                prediction_pb2.SeldonMessage(strData="x"), timeout=60
            )
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_curl_asks_with_prior_knowledge(server: Served) -> None:
    """With --http2-prior-knowledge, curl gets an answer over HTTP/2."""
    curl = shutil.which("curl")
    if (
        curl is None
        or b"HTTP2" not in subprocess.run([curl, "-V"], capture_output=True, check=True).stdout
    ):
        pytest.skip("there is no curl that speaks HTTP/2")
    command = [
        curl,
        "-sS",
        "--http2-prior-knowledge",
        "-w",
        " %{http_version}",
        "-d",
        ROWS.decode(),
    ]
    told = subprocess.run(
        [*command, "-H", "Content-Type: application/json", server.url + PREDICT],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert told == '{"data":{"names":["t:0","t:1"],"ndarray":[[1,2]]},"meta":{}}\n 2'


@pytest.mark.parametrize("size", [1, 3, 23, 24, 30])
def test_the_preface_may_come_in_parts(server: Served, size: int) -> None:
    """The HTTP/2 preface may arrive in parts of any size."""
    client = Http2Client(server.url)
    start = client.preface()
    for place in range(0, len(start), size):
        client.socket.sendall(start[place : place + size])
    assert client.ask("GET", "/health/ping").body == b"pong"
    client.socket.close()


@pytest.mark.parametrize("start", [b"P", b"PO", b"POST"])
def test_http1_may_come_in_parts_too(server: Served, start: bytes) -> None:
    """An HTTP/1 request that starts like the HTTP/2 preface (`P`) may arrive in parts."""
    asked = post(ROWS)
    with connected(server.url) as connection:
        for part in (start, asked[len(start) :]):
            connection.send(part)
        assert connection.answer().status == 200
        assert connection.ask(get("/health/ping")).body == b"pong"


@pytest.mark.parametrize(
    "start", [PREFACE[:-1] + b"x", PREFACE[:15] + b"1\r\n\r\n", PREFACE[:20] + b"\n" * 9]
)
def test_bytes_that_only_begin_like_the_preface_are_refused_in_http1(
    server: Served, start: bytes
) -> None:
    """Bytes that differ from the preface late get the 400 of invalid HTTP."""
    with connected(server.url) as connection:
        connection.send(start[:5], start[5:])
        assert connection.answer().info == "this is not valid HTTP"
        assert connection.is_closed()


@pytest.mark.parametrize("start", [b"P", PREFACE[:23], PREFACE, PREFACE + b"\0\0\0\4"])
def test_a_preface_that_arrives_too_slowly_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """The timeout covers the whole preface: sending only a part of it ends the connection."""
    monkeypatch.setattr(http_port, "SENDER_SECONDS", SOON)
    monkeypatch.setattr(first_bytes, "PREFACE_SECONDS", SOON)
    with serve(Mirror()) as server, connected(server.url) as connection:
        connection.send(start)
        assert connection.is_closed()


def test_a_silent_connection_is_closed_as_over_http1() -> None:
    """A client that sends nothing is disconnected after `keepalive` seconds."""
    with serve(Mirror(), keepalive=SOON) as server, connected(server.url) as connection:
        assert connection.is_closed()


@pytest.mark.parametrize("is_used", [True, False])
def test_an_idle_connection_is_closed_as_over_http1(
    monkeypatch: pytest.MonkeyPatch, *, is_used: bool
) -> None:
    """The first idle check after `keepalive` seconds closes the connection, used or not."""
    monkeypatch.setattr(http2_connection, "LOOK_SECONDS", SOON)
    with serve(Mirror(), keepalive=SOON) as server, http2(server.url) as client:
        if is_used:
            assert client.ask("POST", PREDICT, ROWS, JSON).status == 200
        client.read_until_closed()
        assert client.ended_with == 0


def test_a_connection_with_a_request_under_way_is_not_idle(
    monkeypatch: pytest.MonkeyPatch, gate: Any
) -> None:
    """A connection with a request in flight stays open; each idle check sends a ping."""
    monkeypatch.setattr(http2_connection, "LOOK_SECONDS", SOON)
    with serve(gate, keepalive=SOON) as server, http2(server.url) as client:
        asked = client.begin("POST", PREDICT, JSON, ends=False)
        client.send(asked, ROWS)
        gate.wait_until_entered()
        assert all(client.read() for _ in range(LOOKS))
        assert client.ended_with is None
        gate.open()
        assert client.answer(asked).status == 200


def test_a_connection_of_grpc_may_be_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle gRPC connections stay open, because gRPC clients expect that."""
    monkeypatch.setattr(http2_connection, "LOOK_SECONDS", SOON)
    with serve(Mirror(), keepalive=SOON) as server, http2(server.url) as client:
        for _ in range(2):
            checked = client.ask("POST", "/grpc.health.v1.Health/Check", bytes(5), *GRPC)
            assert checked.body == SERVING
            assert all(client.read() for _ in range(LOOKS))
        assert client.ended_with is None


def test_a_body_that_arrives_too_slowly_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time gets 408 at the next idle check."""
    monkeypatch.setattr(http2_connection, "LOOK_SECONDS", SOON)
    monkeypatch.setattr(streams, "SENDER_SECONDS", 0)
    with serve(Mirror()) as server, http2(server.url) as client:
        answer = client.answer(client.begin("POST", PREDICT, JSON, ends=False))
    assert answer.status == 408
    assert json.loads(answer.body)["status"]["info"] == "the rest of the request did not arrive"


def test_a_body_may_be_padded(server: Served) -> None:
    """A large body arrives although its padding uses up credit, too (RFC 9113, 6.9.1)."""
    size, padding, body = 4000, 255, LARGE
    with http2(server.url) as client:
        length = ("content-length", str(len(body)))
        stream = client.begin("POST", PREDICT, JSON, length, ends=False)
        while body and not client.answers[stream].is_whole:
            if client.h2.local_flow_control_window(stream) > min(size, len(body)) + padding:
                client.h2.send_data(stream, body[:size], pad_length=padding)
                client.flush()
                body = body[size:]
            else:
                assert client.read()
        client.h2.end_stream(stream)
        client.flush()
        answer = client.answer(stream)
    assert answer.status == 200
    assert json.loads(answer.body)["data"]["ndarray"] == json.loads(LARGE)["data"]["ndarray"]


def test_an_answer_that_takes_too_long_is_a_504(gate: Any) -> None:
    """A request that reaches the timeout gets 504, as over HTTP/1."""
    with serve(gate, timeout=SOON) as server, http2(server.url) as client:
        assert client.ask("POST", PREDICT, ROWS, JSON).status == 504
        gate.open()


def test_a_cancelled_request_gets_no_answer(gate: Any) -> None:
    """A reset request is not predicted if the model has not begun it; it counts as 499."""
    with serve(gate) as server, http2(server.url) as client:
        first = client.begin("POST", PREDICT, JSON, ends=False)
        client.send(first, ROWS)
        gate.wait_until_entered()
        second = client.begin("POST", PREDICT, JSON, ends=False)
        client.send(second, b'{"data":{"ndarray":[[7]]}}')
        client.h2.reset_stream(second, CANCEL)
        client.flush()
        counted = 'prepackaged_requests_total{code="499",method="predict"} 1.0'
        wait_until(lambda: counted in requests.get(f"{server.metrics}/metrics", timeout=60).text)
        gate.open()
        assert client.answer(first).status == 200
    assert [X.tolist() for X in gate.seen] == [[[1, 2]]]


CALLED = b"\0\0\0\0\3" + prediction_pb2.SeldonMessage(strData="7").SerializeToString()


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (PREDICT, [JSON], b'{"data":{"ndarray":[[7]]}}'),
        ("/seldon.protos.Model/Predict", GRPC, CALLED),
    ],
    ids=["rest", "grpc"],
)
def test_a_client_that_closes_its_sending_side_is_disconnected(
    gate: Any, path: str, headers: Any, body: bytes
) -> None:
    """Half-closing TCP ends an HTTP/2 connection and its calls, as in nginx, Envoy and gRPC."""
    with serve(gate) as server, http2(server.url) as first, http2(server.url) as client:
        kept = first.begin("POST", PREDICT, JSON, ends=False)
        first.send(kept, ROWS)
        gate.wait_until_entered()
        client.send(client.begin("POST", path, *headers, ends=False), body)
        wait_until_in_flight(server.metrics, 2)
        client.socket.shutdown(socket.SHUT_WR)
        while client.socket.recv(65_536):
            pass
        counted = 'prepackaged_requests_total{code="499",method="predict"} 1.0'
        wait_until(lambda: counted in requests.get(f"{server.metrics}/metrics", timeout=60).text)
        gate.open()
        assert first.answer(kept).status == 200
    assert [X.tolist() for X in gate.seen] == [[[1, 2]]]


def test_accepted_requests_are_answered_during_shutdown(gate: Any) -> None:
    """At shutdown, complete requests are answered, half ones get 408, and GOAWAY follows."""
    with serve(gate) as server:
        client = Http2Client(server.url)
        client.flush()
        whole = client.begin("POST", PREDICT, JSON, ends=False)
        client.send(whole, ROWS)
        half = client.begin("POST", PREDICT, JSON, ends=False)
        gate.wait_until_entered()
        threading.Timer(SOON, gate.open).start()
    assert client.answer(whole).status == 200
    assert client.answer(half).status == 408
    client.read_until_closed()
    assert client.ended_with == 0
    client.socket.close()


def test_a_client_that_starts_http2_during_shutdown_is_disconnected(gate: Any) -> None:
    """A client that starts HTTP/2 during shutdown is disconnected and does not delay it."""
    with serve(gate) as server:
        busy, late = Http2Client(server.url), Http2Client(server.url)
        busy.flush()
        stream = busy.begin("POST", PREDICT, JSON, ends=False)
        busy.send(stream, ROWS)
        gate.wait_until_entered()
        threading.Timer(SOON, late.flush).start()
        threading.Timer(4 * SOON, gate.open).start()
    assert busy.answer(stream).status == 200
    late.read_until_closed()
    for client in (busy, late):
        client.socket.close()


def test_connections_of_both_http_versions_share_one_limit(
    monkeypatch: pytest.MonkeyPatch, gate: Any
) -> None:
    """Beyond the common limit, HTTP/1 gets 503 and HTTP/2 is closed; others are answered."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", math.inf)
    with serve(gate, max_connections=2) as server, http2(server.url) as first:
        stream = first.begin("POST", PREDICT, JSON, ends=False)
        first.send(stream, ROWS)
        gate.wait_until_entered()
        with connected(server.url) as second:
            second.send(post(ROWS))
            wait_until_in_flight(server.metrics, 2)
            with connected(server.url) as third:
                assert third.ask(post(ROWS)).status == 503
            with http2(server.url) as fourth:
                fourth.read_until_closed()
            gate.open()
            assert second.answer().status == 200
        assert first.answer(stream).status == 200


def test_idle_connections_of_http2_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle HTTP/2 connection is closed for a new HTTP/1 client."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", 0)
    with serve(Mirror(), max_connections=1) as server, http2(server.url) as idle:
        assert idle.ask("GET", "/health/ping").status == 200
        with connected(server.url) as other:
            assert other.ask(post(ROWS)).status == 200
            idle.read_until_closed()
