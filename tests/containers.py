"""Containers of a built image, with docker's or podman's command line."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from serving import free_ports

from sbom import ENGINE

# Without this, podman mounts writable memory on /tmp; docker and Kubernetes do not.
READ_ONLY = ("--read-only", *(["--read-only-tmpfs=false"] if "podman" in ENGINE else []))


def engine(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run the container engine and return the completed process."""
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
        """Everything that the container has written so far."""
        shown = engine("logs", self.name)
        return shown.stdout + shown.stderr

    def ended(self) -> bool:
        """Whether the container has ended."""
        return engine("inspect", "-f", "{{.State.Running}}", self.name).stdout.strip() != "true"

    def story(self) -> str:
        """The container's state and log, for a failed test."""
        return engine("inspect", "-f", "{{json .State}}", self.name).stdout + self.log()

    def run(self, *command: str) -> str:
        """Run a command in the container and return its output."""
        return engine("exec", self.name, *command).stdout.strip()

    def stop(self, seconds: int) -> None:
        """Stop the container as platforms do: SIGTERM, then SIGKILL after `seconds`."""
        engine("stop", "-t", str(seconds), self.name)

    def kill(self) -> None:
        """Kill the container if it still runs."""
        engine("kill", self.name, check=False)

    def wait(self) -> int:
        """Wait for the container to end and return its exit status."""
        return int(engine("wait", self.name).stdout)


@contextmanager
def running(
    tag: str,
    *flags: str,
    environment: Mapping[str, str] | None = None,
    ports: tuple[int, int, int] = (9000, 5000, 6000),
    command: Sequence[str] = (),
) -> Iterator[Container]:
    """Run a container of the image until the block ends; `ports` are REST's, gRPC's, the metrics'.

    A `command` replaces the image's, as in a pod.
    """
    variables = [f"{name}={value}" for name, value in (environment or {}).items()]
    set_ = [word for variable in variables for word in ("-e", variable)]
    here = free_ports(3)
    published = [word for a, b in zip(here, ports, strict=True) for word in ("-p", f"{a}:{b}")]
    http, grpc, metrics = (f"localhost:{port}" for port in here)
    replaced = ("--entrypoint", command[0], tag, *command[1:]) if command else (tag,)
    name = engine("run", "-d", *published, *set_, *flags, *replaced).stdout.strip()
    container = Container(name, f"http://{http}", grpc, f"http://{metrics}")
    try:
        yield container
    finally:
        container.kill()  # stopping upstream's server would take the whole grace period
        engine("rm", "--force", name)
