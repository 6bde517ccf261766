"""The server with standard streams that are closed or blocked."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rawhttp import connected, post, text

MORE_THAN_A_PIPE_HOLDS = 3000  # requests; each access-log line has about fifty bytes
MORE_TRACEBACKS_THAN_A_PIPE_HOLDS = 200  # requests; each has about a kilobyte


def test_a_server_without_standard_streams_serves_and_ends_in_order(
    start_process: Callable[..., Any],
) -> None:
    """A server that starts with closed standard streams serves, and ends with status 0."""
    process = start_process("Mirror", under=("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'))
    with connected(process.server.url) as connection:
        assert connection.ask(post(text("hi"))).text == "hi"
    process.signal(signal.SIGTERM)
    assert process.status() == 0


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[Any]:
    """A named pipe that is open for reading, and a function that reads its first bytes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    yield pipe, lambda: os.read(reader, 1000)
    os.close(reader)


def test_an_unread_access_log_delays_no_request(
    start_process: Callable[..., Any], unread: Any
) -> None:
    """If nobody reads the access log and its pipe is full, requests are still answered."""
    pipe, read = unread
    process = start_process("Mirror", under=("sh", "-c", f'exec "$0" "$@" >{pipe}'))
    with connected(process.server.url) as connection:
        for number in range(MORE_THAN_A_PIPE_HOLDS):
            assert connection.ask(post(text(f"{number}"))).text == f"{number}"
    assert read().startswith(b'"GET /health/ping" 200 ')
    process.signal(signal.SIGTERM)
    assert process.status() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_unread_log_delays_no_request(
    start_process: Callable[..., Any],
    unread: Any,
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
) -> None:
    """If nobody reads standard error, failures are still answered, and a signal ends the server."""
    monkeypatch.setenv("GUNICORN_WORKERS", workers)
    pipe, read = unread
    process = start_process("Picky", under=("sh", "-c", f'exec "$0" "$@" 2>{pipe}'))
    with connected(process.server.url) as connection:
        for number in range(MORE_TRACEBACKS_THAN_A_PIPE_HOLDS):
            assert connection.ask(post(text(f"{number}"))).status == 500
    assert b" serves on " in read()
    process.signal(signal.SIGTERM)
    assert process.status() == 0
