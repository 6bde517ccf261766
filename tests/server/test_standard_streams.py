"""The server with standard streams that are closed or blocked."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rawhttp import connected, post, text

MORE_THAN_A_PIPE_HOLDS = 3000  # requests; each access-log line has about fifty bytes


def test_a_server_without_standard_streams_serves_and_ends_in_order(
    start_process: Callable[..., Any],
) -> None:
    """A server that starts with closed standard streams serves, and ends with status 0."""
    process = start_process("Mirror", under=("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'))
    with connected(process.server.url) as connection:
        assert connection.ask(post(text("hi"))).text == "hi"
    process.signal(signal.SIGTERM)
    assert process.status() == 0


def test_an_access_log_that_nobody_reads_keeps_nobody_waiting(
    start_process: Callable[..., Any], tmp_path: Path
) -> None:
    """If nobody reads the access log and its pipe is full, requests are still answered."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        process = start_process("Mirror", under=("sh", "-c", f'exec "$0" "$@" >{pipe}'))
        with connected(process.server.url) as connection:
            for number in range(MORE_THAN_A_PIPE_HOLDS):
                assert connection.ask(post(text(f"{number}"))).text == f"{number}"
        assert os.read(reader, 100).startswith(b'"GET /health/ping" 200 ')
        process.signal(signal.SIGTERM)
        assert process.status() == 0
    finally:
        os.close(reader)
