"""Start a real server process on a Model, as an image does, and send it requests."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from forking import Forked, fork, may_fork

from prepackaged import testing
from prepackaged.testing import free_ports

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
OURS = "prepackaged-microservice"
UPSTREAM = "seldon-core-microservice"
START_SECONDS = 120  # a bound for servers that hang, far above any normal start
IS_MEASURED = "COVERAGE_PROCESS_CONFIG" in os.environ
SAVING_SECONDS = 10  # for the end of a measured server, above its grace period


@dataclass(frozen=True)
class Server:
    """A running server: its addresses and its log."""

    url: str
    grpc: str
    metrics: str
    log_file: Path

    def post(self, body: Any, path: str = "/api/v1.0/predictions") -> requests.Response:
        """Send a value as a JSON request."""
        return requests.post(self.url + path, json=body, timeout=60)

    def post_text(self, text: str, path: str = "/api/v1.0/predictions") -> requests.Response:
        """Send text unchanged, declared as JSON."""
        headers = {"Content-Type": "application/json"}
        return requests.post(self.url + path, data=text.encode(), headers=headers, timeout=60)

    def log(self) -> str:
        """Everything that the server has written so far."""
        return self.log_file.read_text()


@contextmanager
def serve(
    directory: Path, name: str = "Model", program: Path = PROGRAMS / OURS, **parameters: str
) -> Iterator[Server]:
    """Serve the class `name` of `directory/<name>.py` with these parameters until the block ends.

    The server is `program`, by default ours in this process's environment, on free ports.
    """
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
        log_file = Path(scratch) / "log"
        process = start([program], directory, name, parameters, ports, log_file)
        stack.callback(end, process)
        http, grpc, metrics = (f"localhost:{port}" for port in ports.values())
        server = Server(f"http://{http}", grpc, f"http://{metrics}", log_file)
        wait_until_answering(server.url, lambda: process.poll() is None, server.log)
        yield server


@contextmanager
def serve_here(model: Any) -> Iterator[Server]:
    """Serve a loaded model with our server inside this process, without a log file."""
    with testing.serve(model) as served:
        yield Server(served.url, served.grpc, served.metrics, Path(os.devnull))


@dataclass(frozen=True)
class FailedStart:
    """A server that ended before it served: its exit status and its log."""

    status: int
    log: str

    @property
    def last_line(self) -> str:
        """The line that a platform shows to the person who deployed it."""
        return self.log.strip().splitlines()[-1]


def fail_to_serve(
    directory: Path,
    name: str = "Model",
    prefix: tuple[str, ...] = (),
    program: Path = PROGRAMS / OURS,
    **parameters: str,
) -> FailedStart:
    """Start a server that must end by itself, and wait for that."""
    with tempfile.TemporaryDirectory() as scratch:
        ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
        log_file = Path(scratch) / "log"
        command = [*prefix, program]
        process = start(command, directory, name, parameters, ports, log_file)
        try:
            status = process.wait(START_SECONDS)
        finally:
            end(process)
        return FailedStart(status, log_file.read_text())


def start(
    command: Sequence[str | Path],
    directory: Path,
    name: str,
    parameters: Mapping[str, str],
    ports: Mapping[str, int],
    log_file: Path,
) -> "subprocess.Popen[bytes] | Forked":
    """Start the server with the environment that a Seldon deployment sets.

    Ours is forked if that is equivalent.
    """
    typed = [{"name": key, "value": value, "type": "STRING"} for key, value in parameters.items()]
    environment = {f"PREDICTIVE_UNIT_{key}_SERVICE_PORT": str(port) for key, port in ports.items()}
    environment = os.environ | environment | {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(typed)}
    words = [*command, name, "--service-type", "MODEL", "--access-log"]
    with log_file.open("wb") as log:
        if command == [PROGRAMS / OURS] and may_fork(environment):
            return fork(words, directory, environment, log)
        return subprocess.Popen(
            words,
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[Any] | Forked") -> None:
    """Kill the server's process group: upstream's parent waits forever on SIGTERM.

    `make coverage` needs an orderly end: a process saves what was measured when it exits.
    """
    if IS_MEASURED and UPSTREAM not in str(getattr(process, "args", "")):
        with suppress(ProcessLookupError, TimeoutError, subprocess.TimeoutExpired):
            os.kill(process.pid, signal.SIGTERM)
            process.wait(SAVING_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def wait_until_answering(url: str, is_running: Callable[[], bool], log: Callable[[], str]) -> None:
    """Return at the server's first answer; fail with its log if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and is_running():
        try:
            requests.get(url + "/health/ping", timeout=5)
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no answer from {url}:\n{log()}")


@contextmanager
def how_to_call(
    command: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """Start a server with a command, and yield the `curl` line that it prints."""
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            said = server.stdout or ()
            yield next((line for line in said if line.strip().startswith("curl ")), "")
        finally:
            end(server)
