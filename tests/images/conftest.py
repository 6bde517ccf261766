"""The image under test, built before by `make build-<row>`, and containers of it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from serving import UPSTREAM, free_ports, wait_until_answering

import images
import run

ENGINE = os.environ.get("CONTAINER_CLI", "docker")
# podman would put writable memory on /tmp; docker and Kubernetes do not.
READ_ONLY = ("--read-only", *(["--read-only-tmpfs=false"] if "podman" in ENGINE else []))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let make say which image it means."""
    parser.addoption("--image", help="the row to test; without it these tests are skipped")


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The one word of the row that is tested, such as `sklearn-1.6`."""
    name = request.config.getoption("--image")
    if not name:
        pytest.skip("no --image: `make test-<row>` runs these tests")
    return str(name)


@pytest.fixture(scope="session")
def model(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with the image's example model, empty where it needs none."""
    return run.example_model(image) or str(tmp_path_factory.mktemp("nothing"))


def engine(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run the container engine and give what it printed."""
    return subprocess.run([ENGINE, *arguments], capture_output=True, text=True, check=check)


def remove(container: str) -> None:
    """End a container at once: upstream's microservice would let the whole grace period pass."""
    engine("kill", container, check=False)
    engine("rm", "--force", container)


@dataclass(frozen=True)
class Container:
    """A started container and the addresses of its ports on this machine."""

    name: str
    url: str = ""
    grpc: str = ""
    metrics: str = ""

    def log(self) -> str:
        """Everything that it has written so far."""
        shown = engine("logs", self.name)
        return shown.stdout + shown.stderr

    def run(self, *command: str) -> str:
        """What a command inside it prints."""
        return engine("exec", self.name, *command).stdout.strip()

    def is_running(self) -> bool:
        """Whether its server has not ended."""
        return (
            engine("inspect", "--format", "{{.State.Running}}", self.name).stdout.strip() == "true"
        )

    def stop(self) -> None:
        """Ask its server to end, as platforms do."""
        engine("kill", "--signal", "TERM", self.name)

    def wait(self) -> int:
        """The exit status of its server, once it has ended."""
        return int(engine("wait", self.name).stdout)


@pytest.fixture(scope="session")
def start(image: str, model: str) -> Iterator[Callable[..., Container]]:
    """Start containers, with more flags for `run`, and wait until they answer."""
    tag = images.find(image).tags()[0]
    with ExitStack() as stack:

        def start_container(
            *flags: str, model_uri: str = "/mnt/models", waits: bool = True
        ) -> Container:
            parameter = {"name": "model_uri", "type": "STRING", "value": model_uri}
            variable = f"PREDICTIVE_UNIT_PARAMETERS={json.dumps([parameter])}"
            http, grpc, metrics = free_ports(3)
            ports = {9000: http, 5000: grpc, 6000: metrics}
            published = [word for to, at in ports.items() for word in ("-p", f"{at}:{to}")]
            mounted = ("-v", f"{model}:/mnt/models:ro")
            name = engine(
                "run", "-d", *published, *mounted, "-e", variable, *flags, tag
            ).stdout.strip()
            stack.callback(remove, name)
            container = Container(
                name, f"http://localhost:{http}", f"localhost:{grpc}", f"http://localhost:{metrics}"
            )
            if waits:
                wait_until_answering(container.url, container.is_running, container.log)
            return container

        yield start_container


@pytest.fixture(scope="session")
def read_only() -> tuple[str, ...]:
    """The flags for a root file system without any writable directory of the engine's own."""
    return READ_ONLY


@pytest.fixture(scope="session")
def container(start: Callable[..., Container]) -> Container:
    """A container with nothing special about it."""
    return start()


@pytest.fixture(scope="session")
def upstreams(start: Callable[..., Container], read_only: tuple[str, ...]) -> Container:
    """A container with upstream's microservice, where nothing but /dev/shm can be written."""
    return start("-e", f"MICROSERVICE={UPSTREAM}", "--user", "12345", *read_only)


@pytest.fixture(scope="session")
def request_file(image: str) -> Path:
    """The image's documented request."""
    return run.request_file(image)
