"""Start servers by forking a process that has already imported their modules.

A fresh process spends seconds on imports, and the tests start a hundred servers. Tests of images
and of `make run` use fresh processes.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

SERVER = "prepackaged.server.runtime.cli"
# Imports of the images' models; those not installed are skipped.
FRAMEWORKS = ("pandas", "sklearn.ensemble", "xgboost", "torch", "tensorflow", "onnxruntime")
# Variables that a server reads when it starts. Others may be read while modules are imported.
READ_AT_START = ("PREDICTIVE_UNIT_", "PREPACKAGED_", "PYTEST_")
READ_BY_IMPORTS = {"PREDICTIVE_UNIT_IMAGE"}  # by seldon_core.metadata
MOST_BYTES = 200_000  # of a request


class Forked:
    """A forked process, with the part of `subprocess.Popen`'s interface that tests use."""

    def __init__(self, reports: socket.socket) -> None:
        self._reports = reports
        self.pid = int(reports.recv(64))
        self._status: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None while the process runs."""
        with contextlib.suppress(BlockingIOError):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status. Raises `TimeoutError`."""
        if self._status is None:
            self._reports.settimeout(timeout)
            self._status = int(self._reports.recv(64))
            self._reports.close()
        return self._status


def may_fork(environment: Mapping[str, str]) -> bool:
    """Return whether forking is equivalent to a fresh start with these variables."""
    different = {name for name, _ in environment.items() ^ _parent().environment.items()}
    return not different & READ_BY_IMPORTS and all(
        name.startswith(READ_AT_START) for name in different
    )


def fork(
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str],
    output: IO[bytes],
) -> Forked:
    """Run a Python program as the leader of a new process group, with its output in a file."""
    words = [str(word) for word in command]
    request = json.dumps([words, str(directory), dict(environment)]).encode()
    reports, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with end:
        socket.send_fds(_parent().requests, [request], [output.fileno(), end.fileno()])
    return Forked(reports)


class _Parent:
    """The process that is forked; it ends when this one does."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Kept, because Popen warns of a process that runs when its object is deleted.
            self._process = subprocess.Popen([sys.executable, "-P", __file__], stdin=theirs)


_parent = cache(_Parent)


def _serve_requests(requests: socket.socket) -> None:
    """Fork a process for each request until the other side closes; return in each child."""
    while True:
        request, descriptors, *_ = socket.recv_fds(requests, MOST_BYTES, 2)
        if not request:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            return _supervise(json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _supervise(request: list[Any], output: int, reports: int) -> None:
    """Fork again: the child returns, and the parent reports its process ID and exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (child := os.fork()) == 0:
        os.close(reports)
        return _run_as(*request, output)
    os.write(reports, b"%d" % child)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):  # the tests may have ended
        os.write(reports, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _run_as(command: list[str], directory: str, environment: dict[str, str], output: int) -> None:
    """Make this process look as if it had been started with this command."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(old, new)
    os.close(nothing)
    os.close(output)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command


if __name__ == "__main__":
    for name in (SERVER, *FRAMEWORKS):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps the supervisors that have ended
    _serve_requests(socket.socket(fileno=0))
    runpy.run_path(sys.argv[0], run_name="__main__")
