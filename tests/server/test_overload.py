from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
import requests
from rawhttp import WAYS, Connection, connected, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS, wait_until

from prepackaged.testing import Served, serve


@pytest.fixture
def server(gate: Any) -> Iterator[Served]:
    """A server with a blocked model and a queue of at most two requests."""
    with ExitStack() as stack:
        stack.callback(gate.open)
        yield stack.enter_context(serve(gate, max_waiting=2))
        gate.open()


def waiting(server: Served) -> float:
    """The length of the queue, from the server's metrics."""
    lines = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text.splitlines()
    name = "prepackaged_queue_depth_requests"
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def fill(server: Served, gate: Any, stack: ExitStack, path: str = WAYS[0]) -> list[Connection]:
    """Send three requests: the model holds one, and two wait in the queue."""
    connections = []
    for number in range(3):
        connection = stack.enter_context(connected(server.url))
        connection.send(post(text(f"first {number}"), path))
        connections.append(connection)
        gate.wait_until_entered()
        wait_until(lambda expected=number: waiting(server) == expected)
    return connections


@pytest.mark.parametrize("path", WAYS)
def test_requests_beyond_the_queues_limit_get_503_with_retry_after(
    server: Served, gate: Any, path: str
) -> None:
    """With a full queue, a request gets 503 at once, in Seldon's format and with Retry-After."""
    with ExitStack() as stack:
        first = fill(server, gate, stack)
        answer = stack.enter_context(connected(server.url)).ask(post(text("more"), path))
        gate.open()
        answers = [each.answer().text for each in first]
    assert (answer.status, answer.info) == (
        503,
        "2 requests already wait for the model, the maximum",
    )
    assert int(answer.headers["retry-after"]) >= 1
    assert answers == ["first 0", "first 1", "first 2"]


def test_calls_beyond_the_queues_limit_are_unavailable(server: Served, gate: Any) -> None:
    """With a full queue, a gRPC call gets UNAVAILABLE, which clients retry."""
    message = prediction_pb2.SeldonMessage(strData="more")
    with ExitStack() as stack:
        fill(server, gate, stack)
        channel = stack.enter_context(grpc.insecure_channel(server.grpc))
        with pytest.raises(grpc.RpcError) as caught:
            prediction_pb2_grpc.ModelStub(channel).Predict(message, timeout=SECONDS)
        gate.open()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "2 requests already wait for the model, the maximum"
    assert int(dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000


def test_a_server_that_was_overloaded_serves_again(server: Served, gate: Any) -> None:
    """Once the queue has room again, requests are accepted again."""
    with ExitStack() as stack:
        first = fill(server, gate, stack)
        late = stack.enter_context(connected(server.url))
        assert late.ask(post(text("more"))).status == 503
        gate.open()
        for each in first:
            each.answer()
        assert late.ask(post(text("again"))).text == "again"


@pytest.mark.parametrize("path", WAYS)
def test_a_client_that_goes_away_frees_its_place(server: Served, gate: Any, path: str) -> None:
    """A queued request whose client disconnects is dropped, and another one may take its place."""
    with ExitStack() as stack:
        kept, gone, other = fill(server, gate, stack, path)
        gone.close()
        wait_until(lambda: waiting(server) == 1)
        late = stack.enter_context(connected(server.url))
        late.send(post(text("late"), path))
        wait_until(lambda: waiting(server) == 2)
        gate.open()
        assert [each.answer().text for each in (kept, other, late)] == [
            "first 0",
            "first 2",
            "late",
        ]
    assert gate.seen == ["first 0", "first 2", "late"]


def test_a_grpc_client_that_goes_away_frees_its_place(server: Served, gate: Any) -> None:
    """A cancelled call in the queue is never predicted."""
    message = prediction_pb2.SeldonMessage(strData="gone")
    with ExitStack() as stack, grpc.insecure_channel(server.grpc) as channel:
        first = stack.enter_context(connected(server.url))
        first.send(post(text("first")))
        gate.wait_until_entered()
        call = prediction_pb2_grpc.ModelStub(channel).Predict.future(message)
        wait_until(lambda: waiting(server) == 1)
        call.cancel()
        wait_until(lambda: 'code="499",method="predict"' in metrics(server))
        gate.open()
        assert first.answer().text == "first"
        assert first.ask(post(text("last"))).text == "last"
    assert gate.seen == ["first", "last"]


def metrics(server: Served) -> str:
    """The text of the metrics page."""
    return requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text


def test_health_and_metrics_answer_while_the_model_is_busy(server: Served, gate: Any) -> None:
    """Probes and scrapes are answered while a prediction runs."""
    with ExitStack() as stack:
        busy = stack.enter_context(connected(server.url))
        busy.send(post(text("slow")))
        gate.wait_until_entered()
        for path in ("/health/ping", "/health/status", "/metadata"):
            assert requests.get(server.url + path, timeout=SECONDS).status_code == 200
        assert "prepackaged_in_flight_requests 1.0" in metrics(server)
        gate.open()
        assert busy.answer().text == "slow"
