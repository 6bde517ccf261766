import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rawhttp import WAYS, Connection, connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

SECONDS = 60
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def held(tmp_path: Path, start_process: Callable[..., Any]) -> Iterator[Any]:
    """A process whose model is held."""
    return start_process("Gate", directory=str(tmp_path))


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def begin(process: Any, tmp_path: Path, stack: ExitStack, count: int) -> list[Connection]:
    """Connections that each have a request in flight, every other on either way."""
    connections = [stack.enter_context(connected(process.server.url)) for _ in range(count)]
    for connection in connections:
        assert connection.ask(get("/health/ping")).status == 200
    for number, connection in enumerate(connections):
        connection.send(post(text(f"request {number}"), WAYS[number % 2]))
    wait_for((tmp_path / "entered").exists)
    wait_for(lambda: f"prepackaged_in_flight_requests {count}.0" in metrics(process))
    return connections


def metrics(process: Any) -> str:
    """What the server says on its metrics port."""
    with connected(process.server.metrics) as connection:
        return connection.ask(get("/metrics")).body.decode()


def is_refused(url: str) -> bool:
    """Whether a new connection is not taken."""
    try:
        with connected(url) as connection:
            return connection.ask(get("/health/ping")).status != 200
    except ConnectionError:
        return True


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_in_flight_is_answered(held: Any, tmp_path: Path, number: int) -> None:
    """A signal to end costs no accepted request its answer; new ones are refused."""
    with ExitStack() as stack:
        connections = begin(held, tmp_path, stack, 16)
        held.signal(number)
        wait_for(lambda: is_refused(held.server.url))
        (tmp_path / "open").touch()
        answers = [connection.answer() for connection in connections]
        assert [each.text for each in answers] == [f"request {each}" for each in range(16)]
        assert {each.headers["connection"] for each in answers} == {"close"}
        assert held.status() == 0
    assert [line for line in held.server.log().splitlines() if "ERROR" in line] == []


def test_a_grpc_call_in_flight_is_answered(held: Any, tmp_path: Path) -> None:
    """The end of REST is no end of gRPC's calls."""
    message = prediction_pb2.SeldonMessage(strData="in flight")
    with grpc.insecure_channel(held.server.grpc) as channel:
        call = prediction_pb2_grpc.ModelStub(channel).Predict.future(message, timeout=SECONDS)
        wait_for((tmp_path / "entered").exists)
        held.signal(signal.SIGTERM)
        wait_for(lambda: is_refused(held.server.url))
        (tmp_path / "open").touch()
        assert call.result().strData == "in flight"
    assert held.status() == 0


def test_a_request_that_is_on_its_way_is_answered(held: Any, tmp_path: Path) -> None:
    """A client that has sent half of a request when the signal comes may send the rest."""
    (tmp_path / "open").touch()
    request = post(text("in two parts"))
    with connected(held.server.url) as connection:
        assert connection.ask(get("/health/ping")).status == 200
        connection.send(request[:-5])
        held.signal(signal.SIGTERM)
        wait_for(lambda: is_refused(held.server.url))
        connection.send(request[-5:])
        assert connection.answer().text == "in two parts"
        assert connection.is_closed()
    assert held.status() == 0


def test_nothing_is_lost_under_load(start_process: Callable[..., Any]) -> None:
    """Clients that keep their connections busy get an answer to every request they sent."""
    process = start_process("Mirror")
    clients, answered = 16, threading.Barrier(17, timeout=SECONDS)

    def load(client: int) -> tuple[int, int]:
        with connected(process.server.url) as connection:
            for number in itertools.count():
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
        assert min(each.result(SECONDS) for each in loads) >= 20
    assert process.status() == 0
    assert [line for line in process.server.log().splitlines() if "ERROR" in line] == []


def test_new_connections_are_answered_or_refused(start_process: Callable[..., Any]) -> None:
    """Whoever comes late is refused before anything is read: what is predicted is answered."""
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
    """Whoever asks twice does not want to wait for a model; the status says what was lost."""
    with ExitStack() as stack:
        (connection,) = begin(held, tmp_path, stack, 1)
        held.signal(number)
        wait_for(lambda: is_refused(held.server.url))
        held.signal(number)
        assert held.status() == 1
        with pytest.raises(ConnectionError):
            connection.answer()


@pytest.mark.parametrize("number", SIGNALS)
def test_idle_connections_do_not_hold_the_end_up(held: Any, number: int) -> None:
    """Clients that keep connections and streams open for later need not close them first."""
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


def test_a_client_that_sends_no_more_does_not_hold_the_end_up(held: Any) -> None:
    """Half a request is no reason to stay, once its sender had time for the rest."""
    with connected(held.server.url) as connection:
        connection.send(post(text("never whole"))[:-5])
        with connected(held.server.url) as other:
            assert other.ask(get("/health/ping")).status == 200
        held.signal(signal.SIGTERM)
        assert held.status() == 0
        assert connection.answer().status == 408
