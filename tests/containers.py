"""Containers of a built image, by way of docker's or podman's command line."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import requests
from serving import free_ports

from engine import ENGINE

GIVEN: set[int] = set()
LOCK = Lock()
# podman would put writable memory on /tmp; docker and Kubernetes do not.
READ_ONLY = ("--read-only", *(["--read-only-tmpfs=false"] if "podman" in ENGINE else []))


def engine(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run the container engine and give what it printed."""
    return subprocess.run([ENGINE, *arguments], capture_output=True, text=True, check=check)


@dataclass(frozen=True)
class Container:
    """A started container and the addresses of its ports on this machine."""

    name: str
    url: str
    grpc: str
    metrics: str

    def post(self, body: Any, path: str = "/api/v1.0/predictions") -> requests.Response:
        """Send a value as a JSON request."""
        return requests.post(self.url + path, json=body, timeout=60)

    def log(self) -> str:
        """Everything that it has written so far."""
        shown = engine("logs", self.name)
        return shown.stdout + shown.stderr

    def run(self, *command: str) -> str:
        """What a command inside it prints."""
        return engine("exec", self.name, *command).stdout.strip()

    def stop(self, seconds: int) -> None:
        """End it as platforms do: SIGTERM, and SIGKILL where it has not ended after that."""
        engine("stop", "-t", str(seconds), self.name)

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        engine("kill", self.name, check=False)

    def wait(self) -> int:
        """The exit status of its server, once it has ended."""
        return int(engine("wait", self.name).stdout)


def own_ports() -> list[int]:
    """Three ports that are free and that no other container, perhaps not begun yet, was given."""
    with LOCK:
        ports = free_ports(3)
        while GIVEN.intersection(ports):
            ports = free_ports(3)
        GIVEN.update(ports)
        return ports


@contextmanager
def running(
    tag: str,
    *flags: str,
    environment: Mapping[str, str] | None = None,
    ports: tuple[int, int, int] = (9000, 5000, 6000),
    command: Sequence[str] = (),
) -> Iterator[Container]:
    """A container of the image until the block ends; the ports are REST's, gRPC's, the metrics'.

    A `command` takes the place of the image's, as a pod's does.
    """
    variables = [f"{name}={value}" for name, value in (environment or {}).items()]
    set_ = [word for variable in variables for word in ("-e", variable)]
    here = own_ports()
    published = [word for a, b in zip(here, ports, strict=True) for word in ("-p", f"{a}:{b}")]
    http, grpc, metrics = (f"localhost:{port}" for port in here)
    replaced = ("--entrypoint", command[0], tag, *command[1:]) if command else (tag,)
    name = engine("run", "-d", *published, *set_, *flags, *replaced).stdout.strip()
    container = Container(name, f"http://{http}", grpc, f"http://{metrics}")
    try:
        yield container
    finally:
        container.kill()  # upstream's microservice would let the whole grace period pass
        engine("rm", "--force", name)
