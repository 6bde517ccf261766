"""A server to attack, in its own process, and requests of a good client to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.attacks import HOST
from bench.servers import MODELS, pss_megabytes

from prepackaged.testing import free_ports

START_SECONDS = 60
ASK_SECONDS = 15
BODY = json.dumps({"data": {"ndarray": [[1.0, 2.0]]}}).encode()


@dataclass(frozen=True)
class Target:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    rest: int
    grpc: int
    megabytes: float = 0.0  # after its first answer


def ask(
    port: int, method: str = "POST", path: str = "/predict", patience: float = ASK_SECONDS
) -> str:
    """Send a request; return `answered`, `refused` (503 with Retry-After) or `lost`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=patience)
    try:
        body, headers = (
            (BODY, {"Content-Type": "application/json"})
            if method == "POST"
            else (
                None,
                {},
            )
        )
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return "lost"
    finally:
        connection.close()
    if response.status == http.HTTPStatus.OK:
        return "answered"
    is_honest = response.status == http.HTTPStatus.SERVICE_UNAVAILABLE
    return "refused" if is_honest and response.getheader("Retry-After") else "lost"


@contextmanager
def running(
    environment: dict[str, str], model: str = "Slow", under: Sequence[str] = ()
) -> Iterator[Target]:
    """Run our server with a model of bench/models until the block ends.

    `under` is a command prefix, such as one that sets limits.
    """
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    settings = {f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(port) for kind, port in ports.items()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*under, Path(sys.executable).with_name("prepackaged-microservice"), model],
            cwd=MODELS,
            env=os.environ | settings | environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        target = Target(process, ports["HTTP"], ports["GRPC"])
        try:
            wait_until_answering(target)
            yield replace(target, megabytes=pss_megabytes(process.pid))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_answering(target: Target) -> None:
    """Wait for a right answer or the end of the process, at most START_SECONDS."""
    wait_until(lambda: ask(target.rest) == "answered" or target.process.poll() is not None)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Return as soon as the condition holds, or after START_SECONDS."""
    until = time.monotonic() + START_SECONDS
    while not is_so() and time.monotonic() < until:
        time.sleep(0.1)
