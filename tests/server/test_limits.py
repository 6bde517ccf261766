import gzip
import json
import math
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from select import select
from typing import Any

import grpc
import pytest
from http2 import http2
from rawhttp import PREDICT, WAYS, Connection, connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS, wait_until

from prepackaged.server.protocols.json_reading import MOST_CONTAINERS
from prepackaged.server.transport import eviction, unread
from prepackaged.server.transport.http1 import port as http_port
from prepackaged.server.transport.http1.head_size import MAX_HEAD
from prepackaged.testing import Served, serve

HELLO = prediction_pb2.SeldonMessage(strData="hello")
SOON = 0.05  # seconds, for timeouts that a test lets expire


class Mirror:
    """Returns its input."""

    def predict(self, X: Any, names: Any) -> Any:
        return X


def is_answered(connection: Connection) -> bool:
    """Return whether the connection has unread bytes."""
    return bool(select([connection.socket], [], [], 0)[0])


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the timeouts for senders and for surplus connections to SOON."""
    for name in ("SENDER_SECONDS", "SURPLUS_SECONDS"):
        monkeypatch.setattr(http_port, name, SOON)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server with default limits."""
    with serve(Mirror()) as served:
        yield served


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server with a limit of two connections, both in use and never evicted as idle."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", math.inf)
    with serve(Mirror(), max_connections=2) as served, ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(connected(served.url))
            assert connection.ask(post(text("hi"))).text == "hi"
        yield served


# Timeouts for the client


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("part", [slice(0, 20), slice(0, -3)], ids=["head", "body"])
def test_an_incomplete_request_is_408(soon: None, server: Served, path: str, part: slice) -> None:
    """A client that stops in the middle of a request gets 408, and its connection is closed."""
    with connected(server.url) as connection:
        connection.send(post(text("half"), path)[part])
        assert connection.answer().status == 408
        assert connection.is_closed()


def test_the_timeout_of_a_head_covers_all_of_it(soon: None, server: Served) -> None:
    """The timeout covers the whole header block: one byte now and then does not extend it."""
    with connected(server.url) as connection:
        connection.send(b"GET /")

        def is_refused() -> bool:
            connection.send(b"x")
            return is_answered(connection)

        wait_until(is_refused)
        assert connection.answer().status == 408


def test_an_idle_connection_is_closed_after_the_time_that_is_set() -> None:
    """An idle connection is closed after `keepalive` seconds, before or after its first request."""
    with serve(Mirror(), keepalive=SOON) as server, ExitStack() as stack:
        silent, idle = (stack.enter_context(connected(server.url)) for _ in range(2))
        assert idle.ask(post(text("hi"))).text == "hi"
        assert idle.is_closed()
        assert silent.is_closed()


def test_a_keepalive_of_0_is_answered_and_closed() -> None:
    """With keepalive=0 the server closes each connection after one answer, as gunicorn does."""
    with serve(Mirror(), keepalive=0) as served, connected(served.url) as connection:
        answer = connection.ask(post(text("hi")))
        assert (answer.text, answer.headers["connection"]) == ("hi", "close")
        assert connection.is_closed()


def test_the_time_of_a_request_is_not_that_between_requests(soon: None, server: Served) -> None:
    """A request's timeout ends with the request: later the idle connection is still open."""
    with connected(server.url) as idle, connected(server.url) as late:
        idle.send(post(text("in parts"))[:-3])
        idle.send(post(text("in parts"))[-3:])
        assert idle.answer().text == "in parts"
        late.send(b"GET /")
        assert late.answer().status == 408  # so the timeout has expired
        assert idle.ask(post(text("next"))).text == "next"


@pytest.mark.parametrize("path", WAYS)
def test_a_client_that_stops_sending_gets_its_answers(server: Served, path: str) -> None:
    """A client that closes its sending side after its requests still gets every answer."""
    with connected(server.url) as connection:
        connection.send(*[post(text(f"{number}"), path) for number in range(3)])
        connection.socket.shutdown(socket.SHUT_WR)
        assert [connection.answer().text for _ in range(3)] == ["0", "1", "2"]
        assert connection.is_closed()


@pytest.mark.parametrize("path", WAYS)
def test_a_client_that_stops_sending_may_wait_for_its_answer(gate: Any, path: str) -> None:
    """A client that has closed its sending side gets its answer from a slow model too."""
    with serve(gate) as server, connected(server.url) as connection:
        connection.send(post(text("asked"), path))
        connection.socket.shutdown(socket.SHUT_WR)
        gate.wait_until_entered()
        gate.open()
        assert connection.answer().text == "asked"
        assert connection.is_closed()


# The size of header blocks


@pytest.mark.parametrize("path", WAYS)
def test_a_head_of_exactly_the_limit_is_accepted_and_a_larger_one_is_431(
    server: Served, path: str
) -> None:
    """A header block below the limit is accepted, a larger one gets 431, in one part or in two."""
    for size, status in ((MAX_HEAD - 1000, 200), (MAX_HEAD + 1000, 431)):
        request = post(text("hi"), path, "X: " + "x" * size)
        for parts in ([request], [request[:40_000], request[40_000:]]):
            with connected(server.url) as connection:
                for part in parts:
                    connection.send(part)
                    assert get_ping(server)  # so the server has read what was sent
                assert connection.answer().status == status


def get_ping(server: Served) -> bool:
    """Return whether the server answers /health/ping."""
    with connected(server.url) as connection:
        return connection.ask(get("/health/ping")).status == 200


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX: "])
def test_a_head_without_end_is_431_before_it_fills_memory(server: Served, start: bytes) -> None:
    """A header block that never ends gets 431 before it is twice as large as the limit."""
    sent = 0
    with connected(server.url) as connection:
        connection.send(start)
        while not is_answered(connection):
            connection.send(b"x" * 1000)
            sent += 1000
            assert get_ping(server)  # so the server has read what was sent
            assert sent < 2 * MAX_HEAD
        assert connection.answer().status == 431


def test_requests_before_a_head_are_no_part_of_it(server: Served) -> None:
    """Pipelined requests are not counted as a part of the header block behind them."""
    count = 5000
    requests = post(text("hi")) * count
    with connected(server.url) as connection:
        reader = threading.Thread(
            target=lambda: [connection.answer() for _ in range(count - 1)], daemon=True
        )
        reader.start()
        connection.send(requests[:-40])
        reader.join(SECONDS)
        connection.send(requests[-40:])
        assert connection.answer().text == "hi"


# Connections


def test_a_connection_beyond_the_limit_gets_503_and_is_closed(narrow: Served) -> None:
    """A connection beyond the limit gets 503 in Seldon's format with Retry-After, and is closed."""
    with connected(narrow.url) as surplus:
        answer = surplus.ask(post(text("more")))
        assert (answer.status, answer.info, answer.headers["retry-after"]) == (
            503,
            "there are already 2 connections, the maximum",
            "1",
        )
        assert surplus.is_closed()


def test_liveness_is_answered_however_many_connections_there_are(narrow: Served) -> None:
    """Liveness is answered beyond the limit too, so a flood of clients causes no restart."""
    with connected(narrow.url) as surplus:
        answer = surplus.ask(get("/health/ping"))
        assert (answer.body, answer.headers["connection"]) == (b"pong", "close")
        assert surplus.is_closed()


def test_a_connection_beyond_the_limit_is_closed(soon: None, narrow: Served) -> None:
    """A silent connection beyond the limit is closed after a shorter timeout than others."""
    with connected(narrow.url) as surplus:
        assert surplus.is_closed()


def test_the_oldest_connection_is_closed_if_one_beyond_the_limit_arrives(narrow: Served) -> None:
    """The oldest surplus connection is closed for a new one, which bounds the open files."""
    with ExitStack() as stack:
        oldest, *others = (
            stack.enter_context(connected(narrow.url)) for _ in range(http_port.MOST_SURPLUS)
        )
        others[0].send(post(text("half"))[:-3])
        assert get_ping(narrow)
        with suppress(ConnectionResetError):
            assert oldest.is_closed()
        assert others[-1].ask(get("/health/ping")).body == b"pong"


def test_new_connections_are_accepted_after_others_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only open connections count towards the limit."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", math.inf)
    with serve(Mirror(), max_connections=1) as server:
        with connected(server.url) as first:
            assert first.ask(post(text("first"))).text == "first"
            with connected(server.url) as surplus:
                assert surplus.ask(post(text("more"))).status == 503

        def has_room() -> bool:
            with connected(server.url) as connection:
                return connection.ask(post(text("next"))).status == 200

        wait_until(has_room)


@pytest.mark.parametrize("first", [b"", post(text("hi")), b"GET / HTTP/1.1\r\n"])
def test_idle_connections_are_closed_if_others_need_their_place(
    monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    """Idle connections are closed when a new client needs a place."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", 0)
    with serve(Mirror(), max_connections=2) as server, ExitStack() as stack:
        idle = [stack.enter_context(connected(server.url)) for _ in range(2)]
        for each in idle:
            each.send(first)
        if first.startswith(b"POST"):
            assert [each.answer().text for each in idle] == ["hi", "hi"]
        late = stack.enter_context(connected(server.url))
        assert late.ask(post(text("late"))).text == "late"


def test_a_connection_with_a_request_is_not_idle(
    gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection with a request in flight is not evicted; the new client gets 503."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", 0)
    with serve(gate, max_connections=1) as server, ExitStack() as stack:
        busy = stack.enter_context(connected(server.url))
        busy.send(post(text("first")))
        gate.wait_until_entered()
        later = stack.enter_context(connected(server.url))
        assert later.ask(post(text("later"))).status == 503
        gate.open()
        assert busy.answer().text == "first"


def test_idle_grpc_connections_are_closed_if_others_need_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Idle gRPC connections are closed when a new client needs a place."""
    monkeypatch.setattr(eviction, "IDLE_SECONDS", 0)
    with serve(Mirror(), max_connections=1) as server, ExitStack() as stack:
        for _ in range(3):
            assert predict(server, stack, timeout=SECONDS).result().strData == "hello"


# Memory


def test_a_body_for_which_there_is_no_memory_is_refused() -> None:
    """A body beyond the memory for requests gets 413 and a closed connection; others are served."""
    with serve(Mirror(), request_memory=100_000) as server, connected(server.url) as connection:
        answer = connection.ask(post(text("x" * 200_000)))
        assert (answer.status, answer.info) == (
            413,
            "the request takes more memory than the 100000 bytes that one may take",
        )
        assert connection.is_closed()
        with connected(server.url) as other:
            assert other.ask(post(text("hi"))).text == "hi"


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/predict", b'{"data": {"ndarray": ['),
        ("/v1/models/model:predict", b'{"instances": ['),
        ("/v2/models/model/infer", b'{"inputs": ['),
        ("/invocations", b'{"inputs": ['),
    ],
)
@pytest.mark.parametrize("element", [b"[]", b"{}"])
def test_a_body_of_more_lists_than_python_parses_in_a_second_is_refused(
    server: Served, path: str, start: bytes, element: bytes
) -> None:
    """It gets 413 in the form of its protocol, and the connection goes on."""
    body = start + b",".join([element] * (MOST_CONTAINERS + 1)) + b"]}"
    with connected(server.url) as connection:
        answer = connection.ask(post(body, path))
        assert answer.status == 413
        assert b"expected at most 4194304 lists and objects in a body, got 41943" in answer.body
        assert connection.ask(post(text("hi"))).text == "hi"


def test_a_body_for_which_there_is_no_memory_now_may_come_again(gate: Any) -> None:
    """While others use all memory, a request gets 503 with Retry-After; later there is room."""
    with serve(gate, request_memory=100_000) as server, ExitStack() as stack:
        first, second, third = (stack.enter_context(connected(server.url)) for _ in range(3))
        first.send(post(text("x" * 40_000)))
        gate.wait_until_entered()
        answer = second.ask(post(text("y" * 40_000)))
        assert (answer.status, answer.headers["retry-after"], answer.info) == (
            503,
            "1",
            "other requests use all the memory for requests",
        )
        gate.open()
        assert first.answer().text == "x" * 40_000
        assert third.ask(post(text("y" * 40_000))).text == "y" * 40_000


def test_memory_is_freed_if_a_client_disconnects_before_its_body_is_complete() -> None:
    """Memory of a half-received body is released when its client disconnects."""
    with serve(Mirror(), request_memory=100_000) as server:
        for _ in range(10):
            with connected(server.url) as connection:
                connection.send(post(text("x" * 40_000))[:-1])
                assert get_ping(server)  # so the server has read what was sent

        def has_room() -> bool:
            with connected(server.url) as connection:
                return connection.ask(post(text("y" * 40_000))).status == 200

        wait_until(has_room)


@pytest.mark.parametrize("keepalive", [0, 5])
def test_the_memory_of_unanswered_requests_is_freed(keepalive: int) -> None:
    """The server closes after the first answer, and lets go of what was sent with it."""
    with serve(Mirror(), request_memory=100_000, keepalive=keepalive) as server:
        header = "Connection: close" if keepalive else "X: x"
        for _ in range(10):
            with connected(server.url) as connection:
                connection.send(get("/health/ping", header), post(b"x" * 12_000, "/nothing"))
                assert connection.answer().status == 200
                assert connection.is_closed()
        with connected(server.url) as connection:
            assert connection.ask(post(text("y" * 40_000))).text == "y" * 40_000


def test_many_requests_with_an_upgrade_are_answered_in_order() -> None:
    """An offer is ignored (RFC 9110, 7.8), and so are hundreds that arrive together."""
    offer = get("/health/ping", "Connection: upgrade", "Upgrade: h")
    with serve(Mirror(), request_memory=100_000) as server, connected(server.url) as connection:
        for _ in range(5):
            connection.send(post(b"x" * 12_000, "/nothing"), offer * 1000, get("/health/ping"))
            assert connection.answer().status == 404
            assert {connection.answer().body for _ in range(1001)} == {b"pong"}
        assert connection.ask(post(text("y" * 40_000))).text == "y" * 40_000


def test_an_unread_answer_does_not_keep_a_closed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that does not read the end of its answers has its time, and is then disconnected."""
    monkeypatch.setattr(unread, "READER_SECONDS", SOON)
    made: list[Any] = []
    port = http_port.HttpPort
    add = port.add
    monkeypatch.setattr(port, "add", lambda *each: made.append(each[1]) or add(*each))
    with serve(Mirror(), keepalive=1) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        wait_until(lambda: bool(made))
        (connection,) = made
        for _ in range(1000):
            client.sendall(post(text("x" * 40_000)))
            time.sleep(0.01)
            if connection._transport.get_write_buffer_size():
                break
        assert connection._transport.get_write_buffer_size()
        assert connection._is_writable  # what is unsent is less than what the budget counts
        wait_until(lambda: not server_has(connection))


def server_has(connection: Any) -> bool:
    """Return whether a connection is among those of its port."""
    return connection in connection._port.connections


def test_a_message_for_which_there_is_no_memory_is_refused() -> None:
    """A gRPC message beyond the memory for requests gets RESOURCE_EXHAUSTED; others are served."""
    with serve(Mirror(), request_memory=100_000) as server, ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(server.grpc))
        large = prediction_pb2.SeldonMessage(strData="x" * 200_000)
        with pytest.raises(grpc.RpcError) as caught:
            prediction_pb2_grpc.ModelStub(channel).Predict(large, timeout=SECONDS)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert predict(server, stack, timeout=SECONDS).result().strData == "hello"


def test_a_message_for_which_there_is_no_memory_now_is_unavailable(gate: Any) -> None:
    """While others use all memory, a gRPC call gets UNAVAILABLE, which clients may retry."""
    with serve(gate, request_memory=100_000) as server, ExitStack() as stack:
        first = stack.enter_context(connected(server.url))
        first.send(post(text("x" * 40_000)))
        gate.wait_until_entered()
        channel = stack.enter_context(grpc.insecure_channel(server.grpc))
        large = prediction_pb2.SeldonMessage(strData="x" * 40_000)
        with pytest.raises(grpc.RpcError) as caught:
            prediction_pb2_grpc.ModelStub(channel).Predict(large, timeout=SECONDS)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert dict(caught.value.trailing_metadata()) == {"grpc-retry-pushback-ms": "1000"}
        gate.open()
        assert first.answer().status == 200


def test_a_message_of_more_than_64_megabytes_is_refused_by_default(
    server: Served,
) -> None:
    """By default a larger message is refused by its declared length, before its bytes arrive."""
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/seldon.protos.Model/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"x" * (2**26 + 1), timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == "expected a message of at most 67108864 bytes, got 67108865"


# Compressed bodies


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
        ("deflate", zlib.compress),
        ("identity", lambda body: body),
    ],
)
def test_a_compressed_body_is_inflated(
    server: Served, coding: str, compress: Callable[[bytes], bytes], size: int
) -> None:
    """Bodies in gzip and deflate are inflated (RFC 9110, 8.4.1), also gzip with several members."""
    body = compress(text("x" * size))
    with connected(server.url) as connection:
        for _ in range(2):
            answer = connection.ask(post(body, PREDICT, f"Content-Encoding: {coding}"))
            assert answer.text == "x" * size


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "compress"])
def test_a_body_of_another_coding_is_415(server: Served, coding: str) -> None:
    """An unknown Content-Encoding gets 415 and a list of supported ones (RFC 9110, 15.5.16)."""
    with connected(server.url) as connection:
        answer = connection.ask(post(text("hi"), PREDICT, f"Content-Encoding: {coding}"))
    assert (answer.status, answer.info) == (
        415,
        f"expected Content-Encoding gzip or deflate, got {coding}",
    )


@pytest.mark.parametrize("codings", [["gzip", "gzip"], ["identity", "gzip", "br"]])
def test_several_fields_of_a_coding_are_one(server: Served, codings: list[str]) -> None:
    """A body that is compressed twice gets 415, also if two fields say so (RFC 9110, 5.3)."""
    fields = [f"Content-Encoding: {coding}" for coding in codings]
    pairs = [("content-encoding", coding) for coding in codings]
    with connected(server.url) as connection, http2(server.url) as client:
        answer = connection.ask(post(gzip.compress(text("hi")), PREDICT, *fields))
        other = client.ask("POST", PREDICT, gzip.compress(text("hi")), *pairs)
        assert connection.is_closed()
        assert client.ask("GET", "/health/ping").body == b"pong"
    expected = f"expected Content-Encoding gzip or deflate, got {', '.join(codings[-2:])}"
    assert (answer.status, answer.info) == (415, expected)
    assert (other.status, json.loads(other.body)["status"]["info"]) == (415, expected)


@pytest.mark.parametrize("fields", [["identity, gzip"], [",gzip ,"], ["identity", "GZIP"]])
def test_identity_is_no_coding(server: Served, fields: list[str]) -> None:
    """A list in one field means the same as several fields, and `identity` means nothing."""
    body = gzip.compress(text("hi"))
    with connected(server.url) as connection:
        coded = [f"Content-Encoding: {each}" for each in fields]
        assert connection.ask(post(body, PREDICT, *coded)).text == "hi"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(text("cut off"))[:-9]),
        ("gzip", gzip.compress(text("hi")) + b"more"),
        ("deflate", zlib.compress(text("cut off"))[:-9]),
        ("deflate", zlib.compress(text("hi")) + b"more"),
    ],
)
def test_a_body_that_is_not_compressed_as_it_says_is_400(
    server: Served, coding: str, body: bytes
) -> None:
    """A body that is not valid gzip or deflate gets 400, and the connection stays open."""
    with connected(server.url) as connection:
        answer = connection.ask(post(body, PREDICT, f"Content-Encoding: {coding}"))
        assert answer.status == 400
        expected = f"expected a body that is compressed with {coding}, got another"
        assert answer.info.startswith(expected)
        assert connection.ask(post(text("next"))).text == "next"


def test_a_compressed_body_is_refused_before_it_is_inflated_beyond_the_limit() -> None:
    """A compressed body that inflates beyond the limit for bodies gets 413."""
    bomb = gzip.compress(b"[" * 2_000_000)
    with serve(Mirror(), max_body=1_000_000) as server, connected(server.url) as connection:
        answer = connection.ask(post(bomb, PREDICT, "Content-Encoding: gzip"))
    assert (answer.status, answer.info) == (413, "the body has more than 1000000 bytes")


# Timeouts for the model


@pytest.mark.parametrize("path", [*WAYS, "/transform-input"])
def test_a_late_answer_is_504_and_its_place_is_free(gate: Any, path: str) -> None:
    """A request that reaches the timeout gets 504 and leaves the queue, unseen by the model."""
    with serve(gate, timeout=SOON) as server, ExitStack() as stack:
        first, second = (stack.enter_context(connected(server.url)) for _ in range(2))
        first.send(post(text("first")))
        gate.wait_until_entered()
        late = second.ask(post(text("late"), path))
        assert (late.status, late.info) == (
            504,
            "no answer within 0.05 s, the configured timeout",
        )
        assert first.answer().status == 504
        gate.open()
        wait_until(lambda: second.ask(post(text("next"), path)).status == 200)
    assert "late" not in gate.seen


def test_health_has_the_same_time(gate: Any) -> None:
    """The timeout applies to the model's health hook too: the probe gets 504."""
    gate.health_status = lambda: gate.predict("health", [])
    with serve(gate, timeout=SOON) as server, connected(server.url) as connection:
        assert connection.ask(get("/health/status")).status == 504
        gate.open()


def predict(server: Served, stack: ExitStack, **settings: Any) -> Any:
    """Start a prediction over gRPC and return its future."""
    channel = stack.enter_context(grpc.insecure_channel(server.grpc))
    return prediction_pb2_grpc.ModelStub(channel).Predict.future(HELLO, **settings)


def test_a_late_answer_over_grpc_has_a_time_of_its_own(gate: Any) -> None:
    """REST and gRPC have separate timeouts: neither one ends requests of the other."""
    for settings in ({"timeout": SOON}, {"grpc_timeout": SOON}):
        with serve(gate, **settings) as server, ExitStack() as stack:
            call = predict(server, stack, timeout=SECONDS)
            gate.wait_until_entered()
            late = stack.enter_context(connected(server.url))
            late.send(post(text("REST")))
            if "timeout" in settings:
                assert late.answer().status == 504
                gate.open()
                assert call.result().strData == "hello"
            else:
                assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                assert call.details() == "no answer within 0.05 s, the configured timeout"
                gate.open()
                assert late.answer().text == "REST"
        gate.is_open.clear()
        gate.entered.clear()


def test_a_call_past_its_deadline_frees_its_place(gate: Any) -> None:
    """A call whose deadline passes leaves the queue, and the model never sees it."""
    with serve(gate) as server, ExitStack() as stack:
        first = stack.enter_context(connected(server.url))
        first.send(post(text("first")))
        gate.wait_until_entered()
        late = predict(server, stack, timeout=SOON)
        assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        with connected(server.metrics) as metrics:
            depth = b"\nprepackaged_queue_depth_requests 0.0\n"
            wait_until(lambda: depth in metrics.ask(get("/metrics")).body)
        gate.open()
        assert first.answer().text == "first"
        assert first.ask(post(text("last"))).text == "last"
    assert gate.seen == ["first", "last"]


def test_a_health_hook_that_hangs_takes_one_thread(gate: Any) -> None:
    """Probes behind a hanging health hook use one thread, queue up to a bound and block nothing."""
    gate.health_status = lambda: gate.predict("health", [])
    with serve(gate) as server, ExitStack() as stack:
        before = threading.active_count()
        probes = [stack.enter_context(connected(server.url)) for _ in range(150)]
        for probe in probes:
            probe.send(get("/health/status"))
        gate.wait_until_entered()
        wait_until(lambda: sum(map(is_answered, probes)) >= 49)  # the hook has one or none
        assert threading.active_count() <= before + 1
        with connected(server.url) as other:
            assert other.ask(get("/health/ping")).body == b"pong"
        gate.open()
        with connected(server.url) as other:
            assert other.ask(post(text("hi"), PREDICT)).text == "hi"
        statuses = Counter(probe.answer().status for probe in probes)
        assert statuses in ({200: 101, 503: 49}, {200: 100, 503: 50})
