"""Fixtures for server tests: processes that can be signalled, and models that can be blocked."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forking import Forked
from serving import OURS, PROGRAMS, Server, end, free_ports, start, wait_until_answering
from waiting import SECONDS

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Process:
    """A server in a process of its own."""

    popen: "subprocess.Popen[Any] | Forked"
    server: Server

    def signal(self, number: int) -> None:
        """Send a signal to the server process only."""
        os.kill(self.popen.pid, number)

    def status(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self.popen.wait(SECONDS)

    def memory(self, kind: str = "VmRSS") -> float:
        """The process's memory in MB: VmRSS is the current value, VmHWM the peak."""
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


Start = Callable[..., Process]


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Start]:
    """Starts a model of `models/` as a process on free ports, and waits until it answers.

    `under` is a command that starts the server, such as one that sets limits.
    """
    with ExitStack() as stack:

        def start_process(
            name: str, *, answers: bool = True, under: Sequence[str] = (), **parameters: str
        ) -> Process:
            ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
            log_file = tmp_path / "log"
            popen = start([*under, PROGRAMS / OURS], MODELS, name, parameters, ports, log_file)
            stack.callback(end, popen)
            http, grpc, metrics = (f"localhost:{port}" for port in ports.values())
            server = Server(f"http://{http}", grpc, f"http://{metrics}", log_file)
            if answers:
                wait_until_answering(server.url, lambda: popen.poll() is None, server.log)
            return Process(popen, server)

        yield start_process


class Gate:
    """A model that blocks all predictions until the gate is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.is_open = threading.Event()
        self.seen: list[Any] = []

    def predict(self, X: Any, names: Any) -> Any:
        self.seen.append(X)
        self.entered.set()
        if not self.is_open.wait(SECONDS):
            raise AssertionError("nobody opened the gate")
        return X

    def open(self) -> None:
        """Let all predictions continue."""
        self.is_open.set()

    def wait_until_entered(self) -> None:
        """Wait until a prediction is blocked."""
        assert self.entered.wait(SECONDS)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is opened at the end of the test in any case."""
    gate = Gate()
    yield gate
    gate.open()
