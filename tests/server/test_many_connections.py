"""Clients that only connect: limits for open files and for memory per connection."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from rawhttp import PREDICT, connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS, wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")
HELLO = prediction_pb2.SeldonMessage(strData="hello")
COUNT = 400
MOST_KB = 16  # memory of an idle connection; it takes five or six


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Connections that are closed when the test ends."""
    with ExitStack() as stack:
        yield stack


def hold(stack: ExitStack, address: str, count: int, greeting: bytes) -> None:
    """Open connections that each send the same bytes and nothing more."""
    parts = urlsplit(address if "//" in address else f"http://{address}")
    for _ in range(count):
        with suppress(OSError):  # the server has no files left
            connection = socket.create_connection((parts.hostname, parts.port), SECONDS)
            stack.enter_context(connection)
            connection.sendall(greeting)


def answers(server: Any) -> bool:
    """Return whether a new client gets an answer over REST and over gRPC."""
    try:
        with connected(server.url) as connection:
            over_rest = connection.ask(post(text("hello"))).text
        with grpc.insecure_channel(server.grpc) as channel:
            call = prediction_pb2_grpc.ModelStub(channel).Predict
            return (over_rest, call(HELLO, timeout=SECONDS).strData) == ("hello", "hello")
    except (OSError, KeyError, grpc.RpcError):
        return False


GREETINGS = [
    (b"", b""),
    (get("/health/ping"), PREFACE),
    (post(text("half"))[:-3], PREFACE[:10]),
]


def test_idle_connections_take_little_memory_and_no_time(
    start_process: Callable[..., Any], stack: ExitStack
) -> None:
    """Connections that are silent, answered or in mid-request need little memory, block nobody."""
    process = start_process("Mirror")
    assert answers(process.server)
    before = process.memory()
    for greetings in GREETINGS:
        hold(stack, process.server.url, COUNT, greetings[0])
        hold(stack, process.server.grpc, COUNT, greetings[1])
        assert answers(process.server)
    assert (process.memory() - before) * 1024 / (2 * COUNT * len(GREETINGS)) < MOST_KB


def test_connections_beyond_the_open_files_replace_idle_ones(
    start_process: Callable[..., Any], stack: ExitStack
) -> None:
    """When files run out, idle connections are closed for new ones, on both ports.

    Liveness is answered even before any connection counts as idle.
    """
    process = start_process("Mirror", under=["prlimit", "--nofile=400:400"])
    for _ in range(2):
        for address in (process.server.url, process.server.grpc):
            hold(stack, address, 300, b"")
        with connected(process.server.url) as probe:
            assert probe.ask(get("/health/ping")).body == b"pong"
        wait_until(lambda: answers(process.server))


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(
    start_process: Callable[..., Any], stack: ExitStack
) -> None:
    """The server raises its soft limit of open files (often 1,024) to the hard limit."""
    process = start_process("Mirror", under=["prlimit", "--nofile=300:2000"])
    hold(stack, process.server.url, 600, b"")
    assert answers(process.server)
    limits = Path(f"/proc/{process.popen.pid}/limits").read_text().splitlines()
    assert next(line.split()[3] for line in limits if "open files" in line) == "2000"


def test_without_free_files_connected_clients_are_answered_and_others_can_connect_later(
    start_process: Callable[..., Any],
) -> None:
    """When accept(2) fails with EMFILE, new clients are closed and connected ones are answered."""
    process = start_process("Greedy", under=["prlimit", "--nofile=400:400"])
    url = process.server.url
    with connected(url) as friend, ExitStack() as stack:
        assert friend.ask(post(text("before"))).text == "before"
        hold(stack, url, 30, b"")
        with connected(url) as late, suppress(ConnectionResetError, BrokenPipeError):
            late.send(get("/health/ping"))
            assert late.is_closed()
        for _ in range(100):
            assert friend.ask(post(text("meanwhile"), PREDICT)).text == "meanwhile"
    wait_until(lambda: answers(process.server))
