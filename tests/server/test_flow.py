import gc
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from http2 import http2
from rawhttp import PREDICT, WAYS, Connection, chunked, connected, get, post, text
from seldon_core.proto import prediction_pb2
from waiting import SECONDS, wait_until

from prepackaged import ClientError
from prepackaged.server.transport.exchange import Exchange
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.testing import serve

MB = 1_000_000


@pytest.fixture
def process(start_process: Callable[..., Any]) -> Iterator[Any]:
    """A separate server process, so that its memory can be measured."""
    process = start_process("Mirror")
    yield process
    assert [line for line in process.server.log().splitlines() if "ERROR" in line] == []


def test_pipelined_requests_are_answered_in_their_order(process: Any) -> None:
    """Pipelined requests are answered in the order in which they were sent."""
    order = random.Random(0)  # seeded: the same order in every run
    with connected(process.server.url) as connection:
        for count in (1, 2, 3, 50, 500):
            kinds = order.choices([*WAYS, "/health/ping", "/nowhere"], k=count)
            requests = [
                post(text(f"{number}"), kind) if kind in WAYS else get(kind)
                for number, kind in enumerate(kinds)
            ]
            connection.send(*requests)
            for number, kind in enumerate(kinds):
                answer = connection.answer()
                if kind in WAYS:
                    assert answer.text == f"{number}"
                elif kind == "/nowhere":
                    assert answer.status == 404
                else:
                    assert answer.body == b"pong"


def test_the_log_has_the_path_of_each_of_pipelined_requests(process: Any) -> None:
    """Each log line names the path of its own request, not of the latest one."""
    with connected(process.server.url) as connection:
        connection.send(
            post(text("1"), WAYS[0]), get("/one"), get("/two"), post(text("2"), WAYS[0])
        )
        for _ in range(4):
            connection.answer()
        connection.ask(get("/last"))
    wait_until(lambda: "/last" in process.server.log())  # written after the other lines
    lines = process.server.log().splitlines()
    paths = [line.split('"')[1] for line in lines if line.startswith('"') and "/last" not in line]
    assert paths[-4:] == [f"POST {WAYS[0]}", "GET /one", "GET /two", f"POST {WAYS[0]}"]


def test_no_path_makes_a_line_of_its_own_in_the_log(process: Any) -> None:
    """Line breaks in a path cannot forge a line in the access log."""
    with connected(process.server.url) as connection:
        connection.ask(get("/x%0d%0aforged"))
        connection.ask(get("/last"))
    wait_until(lambda: "/last" in process.server.log())  # its line is written before this one
    assert not any(line.startswith("forged") for line in process.server.log().splitlines())


@pytest.mark.parametrize("path", WAYS)
def test_a_slow_reader_does_not_fill_memory(process: Any, path: str) -> None:
    """While a client does not read, no further answers are computed, so memory is bounded."""
    with ExitStack() as stack:
        slow = stack.enter_context(connected(process.server.url))
        other = stack.enter_context(connected(process.server.url))
        assert slow.ask(post(b'{"jsonData": %d}' % MB, path)).text == "x" * MB
        before = process.memory("VmHWM")
        for _ in range(150):  # one after the other, each when the server has handled the one before
            slow.send(post(b'{"jsonData": %d}' % MB, path))
            for turn in ("read", "answered"):  # once answered, what was sent before it is handled
                assert other.ask(post(text(turn), path)).text == turn
        slow.send(*[post(b'{"jsonData": %d}' % MB, path)] * 150)  # then all at once
        assert other.ask(post(text("last"), path)).text == "last"
        assert process.memory("VmHWM") - before < 50
        for _ in range(300):
            assert len(slow.answer().text) == MB
        assert process.memory("VmHWM") - before < 50


@pytest.mark.parametrize("path", WAYS)
def test_a_reader_that_disconnects_leaves_nothing_behind(process: Any, path: str) -> None:
    """A client that disconnects without reading its answers causes no error in the log."""
    for _ in range(3):
        with connected(process.server.url) as connection:
            connection.send(*[post(b'{"jsonData": %d}' % MB, path)] * 20)
            assert connection.answer().status == 200
    with connected(process.server.url) as connection:
        assert connection.ask(post(text("next"), path)).text == "next"


def test_a_writer_that_disconnects_leaves_nothing_behind(process: Any) -> None:
    """Half-received requests are freed when their connections close."""
    request = post(text("x" * MB))

    def leave_halves(count: int) -> float:
        for _ in range(count):
            with connected(process.server.url) as connection:
                connection.send(request[: MB // 2])
        with connected(process.server.url) as connection:
            assert connection.ask(get("/health/ping")).status == 200
        return float(process.memory())

    assert leave_halves(200) - leave_halves(20) < 20


def good(connection: Connection, number: int) -> bool:
    """Send a valid request, its form chosen by `number`; return whether the answer is right."""
    value = f"{number}" * (1 + number % 50)
    path = WAYS[number % 2]
    request = chunked(text(value), path=path) if number % 7 == 0 else post(text(value), path)
    return connection.ask(request).text == value


BAD = {
    400: [
        b"noise\r\n\r\n",
        post(b"{"),
        post(b"[" * 5000),
        post(b'{"strData": "\xff"}'),
        post(b'{"binData": "%%%"}', WAYS[1]),
        post(b'{"data":{"tensor":{"shape":[-1],"values":[1]}}}'),
        post(b'{"data":{"tensor":{"shape":[4000000000,4000000000],"values":[1]}}}', WAYS[1]),
        post(b'{"data":{"ndarray":[[1],[1,2]]}}'),
        post(b'{"unknown": 1}', WAYS[1]),
        post(text("hi"), content_type="text/plain"),
        post(text("hi"), length=-1),
        chunked(text("hi")).replace(b"\r\n11\r\n", b"\r\nzz\r\n"),
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ],
    404: [get("/nowhere"), get("/%ff%00")],
    405: [get("/transform-input", method="DELETE"), get("/health/ping", method="POST")],
    413: [post(b"", length=10**12), post(b"", WAYS[1], length=10**12)],
    431: [get("/health/ping", "X: " + "x" * 70_000), get("/" + "x" * 70_000)],
}
EXPECTED = [(status, request) for status, requests in BAD.items() for request in requests]
HALVES = [post(text("half"), path)[:-3] for path in WAYS] + [b"POST /pre", b""]


def bad(url: str, number: int) -> bool:
    """Leave half a request, send an invalid one, and return whether it gets the expected status."""
    status, request = EXPECTED[number % len(EXPECTED)]
    with connected(url) as connection, connected(url) as other:
        other.send(HALVES[number % len(HALVES)])
        return connection.ask(request).status == status


def mixed(url: str, count: int) -> None:
    """Send good and bad requests concurrently, and check every answer."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(6))
        connections = [stack.enter_context(connected(url)) for _ in range(4)]
        turns = range(count // 10)
        goods = [
            pool.submit(lambda each=each: all(good(each, turn) for turn in turns for _ in range(2)))
            for each in connections
        ]
        bads = [
            pool.submit(lambda half=half: all(bad(url, turn) for turn in turns[half::2]))
            for half in range(2)
        ]
        assert all(each.result() for each in goods)
        assert all(each.result() for each in bads)


def test_good_requests_are_answered_right_among_bad_ones(process: Any) -> None:
    """Bad requests on other connections do not affect the answers to good ones."""
    mixed(process.server.url, 3000)


def test_memory_does_not_grow_with_requests(process: Any) -> None:
    """Memory grows little from 10,000 to 100,000 mixed requests, and less in the second half.

    The first growth is what concurrency needs once; it is reached by half of the requests.
    """
    mixed(process.server.url, 10_000)
    first = process.memory()
    mixed(process.server.url, 45_000)
    middle = process.memory()
    mixed(process.server.url, 45_000)
    assert process.memory() - first < 8
    assert process.memory() - middle < 2


@pytest.fixture
def garbage() -> Iterator[Callable[[], list[object]]]:
    """Returns a function that lists the server's objects that only the collector could free."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def found() -> list[object]:
        gc.collect()
        return [each for each in gc.garbage if type(each).__module__.startswith("prepackaged")]

    yield found
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def test_an_answer_creates_no_reference_cycles(
    garbage: Callable[[], list[object]],
) -> None:
    """Requests create no reference cycles, so no garbage collection delays later requests."""
    message = prediction_pb2.SeldonMessage(strData="hi").SerializeToString()
    with serve(object()) as served, grpc.insecure_channel(served.grpc) as channel:
        call = channel.unary_unary("/seldon.protos.Model/Predict")
        json = ("content-type", "application/json")
        with connected(served.url) as connection, http2(served.url) as client:
            for _ in range(2):
                client.ask("GET", "/health/ping")
            before = garbage()  # what a connection leaves until its protocol is known
            for _ in range(20):
                assert connection.ask(post(text("hi"))).status == 200
                assert client.ask("POST", PREDICT, text("hi"), json).status == 200
                assert client.ask("POST", PREDICT, b"{", json).status == 400
                call(message, timeout=SECONDS)
            assert garbage() == before


class Failing:
    """Raises what the request names, with another error as its cause."""

    def predict(self, X: Any, names: Any) -> Any:
        try:
            raise LookupError(X)
        except LookupError as error:
            raise (ClientError if X == "client" else ValueError)(X) from error


def test_a_failure_creates_no_reference_cycles(
    garbage: Callable[[], list[object]],
) -> None:
    """A failed request creates no reference cycle that would keep its body in memory."""
    with serve(Failing()) as served, connected(served.url) as connection:
        for body in (text("client"), text("author"), text("client" + "x" * 300_000)):
            assert connection.ask(post(body)).status in (400, 500)
        assert [each for each in garbage() if isinstance(each, Exchange)] == []


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_GRPC = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01" + bytes(200),
    PREFACE[:10],
    PREFACE + b"\xff\xff\xff" + bytes(6),
    PREFACE + bytes.fromhex("000004 01 04 00000001 ffffffff"),
    PREFACE + bytes.fromhex("000005 00 00 00000007 0000000000"),
]
CALLS = [
    ("/seldon.protos.Model/Predict", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ("/seldon.protos.Model/Predict", b"", grpc.StatusCode.INVALID_ARGUMENT),
    ("/seldon.protos.Router/Route", b"\x2a\x02hi", grpc.StatusCode.UNIMPLEMENTED),
    ("/seldon.protos.Model/Unknown", b"", grpc.StatusCode.UNIMPLEMENTED),
]


def called(address: str, count: int) -> None:
    """Good, bad and cancelled calls, between connections that do not speak gRPC."""
    with grpc.insecure_channel(address) as channel:
        for number in range(count):
            message = prediction_pb2.SeldonMessage(strData=f"{number}" * (1 + number % 50))
            good = ("/seldon.protos.Model/Predict", message.SerializeToString(), None)
            path, body, code = CALLS[number // 2 % len(CALLS)] if number % 2 else good
            call = channel.unary_unary(path).future(body, timeout=SECONDS)
            if number % 5 == 0:
                call.cancel()
            elif code is None:
                answer = prediction_pb2.SeldonMessage.FromString(call.result())
                assert answer.strData == message.strData
            else:
                assert call.code() == code, (call.details(), call.debug_error_string())
            if number % 10 == 0:
                with connected(f"http://{address}") as connection:
                    connection.send(NO_GRPC[number // 10 % len(NO_GRPC)])


def test_a_connection_that_is_closed_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed connection is freed at once, whatever it had sent."""
    monkeypatch.setattr("prepackaged.server.transport.grpc.server.PREFACE_SECONDS", 3600)

    def connections() -> int:
        return sum(type(each) is Http2Connection for each in gc.get_objects())

    gc.collect()
    of_other_tests = connections()
    with serve(object()) as served:
        for greeting in NO_GRPC:
            with connected(f"http://{served.grpc}") as connection:
                connection.send(greeting)
        wait_until(lambda: connections() <= of_other_tests)


def test_memory_does_not_grow_with_calls(process: Any) -> None:
    """Memory grows little from 2,000 to 20,000 gRPC calls."""

    def call(count: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            for each in [pool.submit(called, process.server.grpc, count // 4) for _ in range(4)]:
                each.result()

    call(2000)
    before = process.memory()
    call(18_000)
    assert process.memory() - before < 5


def test_a_cached_head_changes_no_answer(process: Any) -> None:
    """A cached header block changes no answer, whether the next is equal, similar or in parts."""
    same, path = post(text("same")), WAYS[0]
    with connected(process.server.url) as connection:
        assert [connection.ask(same).text for _ in range(3)] == ["same"] * 3
        assert connection.ask(post(text("more"))).text == "more"

        connection.send(same[:-5])
        connection.send(same[-5:], same, same)
        assert [connection.answer().text for _ in range(3)] == ["same"] * 3

        assert connection.ask(post(text("same"), WAYS[1])).text == "same"
        assert connection.ask(post(b'{"strData": 1   }')).status == 400
        assert connection.ask(same).text == "same"
        assert connection.ask(post(text("same"), path, "Connection: close")).text == "same"
        assert connection.is_closed()


def test_a_request_with_a_cached_head_is_logged_with_its_own_rows(process: Any) -> None:
    """Only the header block is cached: each log line has its own request's row count."""
    with connected(process.server.url) as connection:
        for rows in (b"[[1],[2]]", b"[[1, 22]]", b"[[1],[2]]"):
            connection.ask(post(b'{"data":{"ndarray":%b}}' % rows))
        connection.ask(get("/last"))
    wait_until(lambda: "/last" in process.server.log())  # written after the other lines
    lines = [line for line in process.server.log().splitlines() if "POST" in line]
    assert [line.rpartition("rows=")[2] for line in lines[-3:]] == ["2", "1", "2"]
