import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from http2 import http2
from rawhttp import WAYS, Connection, connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS, wait_until, wait_until_in_flight

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def held(tmp_path: Path, start_process: Callable[..., Any]) -> Iterator[Any]:
    """A server process whose model waits for the file `open`."""
    return start_process("Gate", directory=str(tmp_path))


def begin(process: Any, tmp_path: Path, stack: ExitStack, count: int) -> list[Connection]:
    """Open connections with one request in flight each, alternating between the two WAYS."""
    connections = [stack.enter_context(connected(process.server.url)) for _ in range(count)]
    for connection in connections:
        assert connection.ask(get("/health/ping")).status == 200
    for number, connection in enumerate(connections):
        connection.send(post(text(f"request {number}"), WAYS[number % 2]))
    wait_until((tmp_path / "entered").exists)
    wait_until_in_flight(process.server.metrics, count)
    return connections


def is_refused(url: str) -> bool:
    """Return whether the server refuses a new connection."""
    try:
        with connected(url) as connection:
            return connection.ask(get("/health/ping")).status != 200
    except ConnectionError:
        return True


@pytest.mark.parametrize("number", SIGNALS)
def test_requests_in_flight_are_answered(held: Any, tmp_path: Path, number: int) -> None:
    """After a signal, requests in flight are answered and new connections are refused."""
    with ExitStack() as stack:
        connections = begin(held, tmp_path, stack, 16)
        held.signal(number)
        wait_until(lambda: is_refused(held.server.url))
        (tmp_path / "open").touch()
        answers = [connection.answer() for connection in connections]
        assert [each.text for each in answers] == [f"request {each}" for each in range(16)]
        assert {each.headers["connection"] for each in answers} == {"close"}
        assert held.status() == 0
    assert [line for line in held.server.log().splitlines() if "ERROR" in line] == []


def test_a_grpc_call_in_flight_is_answered(held: Any, tmp_path: Path) -> None:
    """A gRPC call in flight is answered after REST has stopped."""
    message = prediction_pb2.SeldonMessage(strData="in flight")
    with grpc.insecure_channel(held.server.grpc) as channel:
        call = prediction_pb2_grpc.ModelStub(channel).Predict.future(message, timeout=SECONDS)
        wait_until((tmp_path / "entered").exists)
        held.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(held.server.url))
        (tmp_path / "open").touch()
        assert call.result().strData == "in flight"
    assert held.status() == 0


@pytest.mark.parametrize("sent", [20, -5], ids=["half a head", "half a body"])
def test_a_request_that_is_on_its_way_is_answered(held: Any, tmp_path: Path, sent: int) -> None:
    """A client that has sent half of a request before the signal may send the rest."""
    (tmp_path / "open").touch()
    request = post(text("in two parts"))
    with connected(held.server.url) as connection:
        assert connection.ask(get("/health/ping")).status == 200
        connection.send(request[:sent])
        held.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(held.server.url))
        connection.send(request[sent:])
        answer = connection.answer()
        assert (answer.text, answer.headers["connection"]) == ("in two parts", "close")
        assert connection.is_closed()
    assert held.status() == 0


def test_a_server_that_shuts_down_is_not_ready(held: Any, tmp_path: Path) -> None:
    """During shutdown, /v2/health/ready is 503, while accepted requests are still answered."""
    request = get("/v2/health/ready")
    with connected(held.server.url) as connection:
        assert connection.ask(request).body == b'{"ready":true}'
        connection.send(request[:20])
        held.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(held.server.url))
        connection.send(request[20:])
        answer = connection.answer()
    assert (answer.status, answer.body) == (503, b'{"ready":false}')
    assert held.status() == 0


def predictions(directory: Path) -> int:
    """How many predictions the model `Obedient` has made."""
    return (directory / "seen").stat().st_size


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_request_fails_under_load(
    start_process: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
) -> None:
    """On busy connections, every request that was sent before or during shutdown is answered."""
    monkeypatch.setenv("GUNICORN_WORKERS", workers)
    process = start_process("Obedient", directory=str(tmp_path))
    wait_until(lambda: process.server.log().count(" serves on ") == int(workers))
    clients, answered = 16, threading.Barrier(17, timeout=SECONDS)

    def load(client: int) -> int:
        with connected(process.server.url) as connection:
            for number in itertools.count(1):
                answer = connection.ask(post(text(f"{client}:{number}"), WAYS[number % 2]))
                assert answer.text == f"{client}:{number}"
                if number == 20:
                    answered.wait()
                if answer.headers.get("connection") == "close":
                    return number
        raise AssertionError

    with ThreadPoolExecutor(clients) as pool:
        loads = [pool.submit(load, client) for client in range(clients)]
        answered.wait()
        process.signal(signal.SIGTERM)
        counts = [each.result(SECONDS) for each in loads]
    assert process.status() == 0
    assert min(counts) >= 20
    assert sum(counts) == predictions(tmp_path)
    assert [line for line in process.server.log().splitlines() if "ERROR" in line] == []


def test_no_grpc_call_fails_under_load(start_process: Callable[..., Any], tmp_path: Path) -> None:
    """Over gRPC, every call that the model saw is answered, and later ones get UNAVAILABLE."""
    process = start_process("Obedient", directory=str(tmp_path))
    clients, answered = 8, threading.Barrier(9, timeout=SECONDS)

    def load(client: int) -> int:
        with grpc.insecure_channel(process.server.grpc) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            stub = prediction_pb2_grpc.ModelStub(channel)
            for number in itertools.count():
                message = prediction_pb2.SeldonMessage(strData=f"{client}:{number}")
                call = stub.Predict.future(message, timeout=SECONDS)
                if call.code() != grpc.StatusCode.OK:
                    assert call.code() == grpc.StatusCode.UNAVAILABLE
                    return number
                assert call.result().strData == message.strData
                if number == 20:
                    answered.wait()
        raise AssertionError

    with ThreadPoolExecutor(clients) as pool:
        loads = [pool.submit(load, client) for client in range(clients)]
        answered.wait()
        process.signal(signal.SIGTERM)
        counts = [each.result(SECONDS) for each in loads]
    assert process.status() == 0
    assert min(counts) >= 20
    assert sum(counts) == predictions(tmp_path)


def test_new_connections_are_answered_or_refused(start_process: Callable[..., Any]) -> None:
    """During shutdown, new connections are refused before anything is read, so nothing is lost."""
    process = start_process("Mirror")
    answered = 0
    with contextlib.suppress(ConnectionError):
        while True:
            with connected(process.server.url) as connection:
                request = post(text("hi"), WAYS[0], "Connection: close")
                assert connection.ask(request).text == "hi"
            answered += 1
            if answered == 20:
                process.signal(signal.SIGTERM)
    assert process.status() == 0
    assert answered >= 20
    assert process.server.log().count(f'"POST {WAYS[0]}" 200') == answered


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_at_once(held: Any, tmp_path: Path, number: int) -> None:
    """A second signal ends the process at once with status 1, without waiting for the model."""
    with ExitStack() as stack:
        (connection,) = begin(held, tmp_path, stack, 1)
        held.signal(number)
        wait_until(lambda: is_refused(held.server.url))
        held.signal(number)
        assert held.status() == 1
        with pytest.raises(ConnectionError):
            connection.answer()


@pytest.mark.parametrize("before", [0, 200], ids=["on its thread", "on the loop"])
def test_a_model_that_hangs_does_not_delay_the_end_of_shutdown(
    start_process: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: int,
) -> None:
    """A hanging model does not outlive the grace period; the last line says what was lost."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "0.5")
    process = start_process("Obedient", directory=str(tmp_path))
    with connected(process.server.url) as connection:
        for _ in range(before):  # fast enough that the event loop calls the model itself
            assert connection.ask(post(text("hi"))).text == "hi"
        connection.send(post(text("hang")))
        wait_until((tmp_path / "hangs").exists)
        process.signal(signal.SIGTERM)
        assert process.status() == 1
    lines = process.server.log().splitlines()
    told = [line for line in lines if "ERROR" in line or "CRITICAL" in line]
    assert told == lines[-1:]
    assert "0.5 s after the signal to shut down" in lines[-1]


def test_requests_that_still_wait_after_the_grace_period_get_an_error(
    start_process: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the grace period ends, clients that still wait get 503 or UNAVAILABLE and can retry."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "0.5")
    held = start_process("Gate", directory=str(tmp_path))
    message = prediction_pb2.SeldonMessage(strData="in flight")
    with ExitStack() as stack:
        connections = begin(held, tmp_path, stack, 4)
        channel = stack.enter_context(grpc.insecure_channel(held.server.grpc))
        call = prediction_pb2_grpc.ModelStub(channel).Predict.future(message, timeout=SECONDS)
        wait_until_in_flight(held.server.metrics, 5)
        held.signal(signal.SIGTERM)
        answers = [connection.answer() for connection in connections]
        info = "the server is shutting down, and the model has not answered in time"
        assert {(each.status, each.info, each.headers["retry-after"]) for each in answers} == {
            (503, info, "1")
        }
        assert (call.code(), call.details()) == (grpc.StatusCode.UNAVAILABLE, info)
    assert held.status() == 1
    assert "5 requests had no answer" in held.server.log().splitlines()[-1]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("opens_early", ["true", "false"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_is_loading_its_model_ends_at_once(
    start_process: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    opens_early: str,
    workers: str,
) -> None:
    """A signal during loading ends the server at once with status 0, as nothing was accepted."""
    monkeypatch.setenv("PREPACKAGED_OPEN_EARLY", opens_early)
    monkeypatch.setenv("GUNICORN_WORKERS", workers)
    process = start_process("Loads", answers=False, directory=str(tmp_path))
    wait_until((tmp_path / "loads").exists)
    process.signal(number)
    assert process.status() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_idle_connections_do_not_delay_shutdown(held: Any, number: int) -> None:
    """Idle connections and open gRPC streams do not delay the shutdown."""
    with ExitStack() as stack:
        silent = stack.enter_context(connected(held.server.url))
        idle = stack.enter_context(connected(held.server.url))
        assert idle.ask(get("/health/ping")).status == 200
        channel = stack.enter_context(grpc.insecure_channel(held.server.grpc))
        request = health_pb2.HealthCheckRequest()
        watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=SECONDS)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        held.signal(number)
        assert held.status() == 0
        assert idle.is_closed()
        assert silent.is_closed()


def test_a_client_that_stops_sending_does_not_delay_shutdown(held: Any) -> None:
    """A half-sent request delays the shutdown only until its timeout, and gets 408."""
    with connected(held.server.url) as connection:
        connection.send(post(text("never whole"))[:-5])
        with connected(held.server.url) as other:
            assert other.ask(get("/health/ping")).status == 200
        held.signal(signal.SIGTERM)
        assert held.status() == 0
        assert connection.answer().status == 408


HALF = (
    b"\0" + (100).to_bytes(4, "big") + bytes(50)
)  # of a message of gRPC (Length-Prefixed-Message)
GRPC = (("content-type", "application/grpc"), ("te", "trailers"))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/seldon.protos.Model/Predict", GRPC, 200),
        ("/api/v1.0/predictions", [("content-type", "application/json")], 408),
    ],
    ids=["gRPC", "REST"],
)
@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half"])
def test_an_incomplete_stream_does_not_delay_shutdown(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    path: str,
    headers: Any,
    status: int,
    sent: bytes,
) -> None:
    """Half a message, or none, delays the shutdown only until its timeout, over HTTP/2 too."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "1000")
    held = request.getfixturevalue("held")
    with http2(held.server.url) as client:
        stream = client.begin("POST", path, *headers, ends=False)
        client.send(stream, sent, ends=False)
        client.h2.ping(b"received")
        client.flush()
        assert client.read()
        held.signal(signal.SIGTERM)
        assert held.status() == 0
        assert client.answer(stream).status == status


# Children and threads of the model


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("pool", "[0, 1, 4, 9]"),
        ("executor", "[0, 1, 4, 9]"),
        ("terminate", "-15"),
        ("suicide", "-1"),
    ],
)
def test_a_child_that_is_terminated_does_not_end_the_server(
    start_process: Callable[..., Any], what: str, answer: str
) -> None:
    """A signal to a forked child ends only the child; the server keeps answering."""
    process = start_process("Children")
    with connected(process.server.url) as connection:
        for _ in range(3):
            assert connection.ask(post(text(what))).text == answer
    process.signal(signal.SIGTERM)
    assert process.status() == 0


def test_a_child_keeps_neither_connections_nor_ports(
    start_process: Callable[..., Any],
) -> None:
    """While a forked child lives, clients see the end of connections, and ports close at the end.

    Otherwise clients would connect to a port where nobody accepts, and wait.
    """
    process = start_process("Children")
    server = process.server
    with connected(server.url) as idle, connected(server.url) as connection:
        assert idle.ask(get("/health/ping")).status == 200
        answer = connection.ask(post(text("keep"), version="1.0"))
        assert answer.text == f"{process.popen.pid}"
        assert connection.is_closed()
        process.signal(signal.SIGKILL)
        assert process.status() == -signal.SIGKILL
        assert idle.is_closed()
    for address in (server.url, f"http://{server.grpc}", server.metrics):
        with pytest.raises(ConnectionRefusedError), connected(address):
            pass


@pytest.mark.parametrize("what", ["thread", "executor", "process", "exit_handler"])
def test_threads_and_children_of_the_model_do_not_keep_the_process_alive(
    start_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Threads, children and exit handlers do not keep the process alive; the status is 0."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "0.5")
    process = start_process("Children")
    with connected(process.server.url) as connection:
        assert connection.ask(post(text(f"leave_{what}"))).text == "None"
    process.signal(signal.SIGTERM)
    assert process.status() == 0
