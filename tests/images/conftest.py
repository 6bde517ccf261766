"""Fixtures for tests of a built image (`make build-<target>`) and of its containers."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pods
import pytest
import samples
from containers import Container
from lives import fail, live, serving
from load import Client, call, keep_connection
from pods import Pod
from samples import Sample

import images
import run
import uv

TRAINING = Path(__file__).parent / "models"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --image, which make sets."""
    parser.addoption("--image", help="the target to test; without it these tests are skipped")


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The target under test, such as `sklearn-1.6`."""
    name = request.config.getoption("--image")
    if not name:
        pytest.skip("no --image: `make test-<target>` runs these tests")
    return str(name)


@pytest.fixture(scope="session")
def tag(image: str) -> str:
    """The full tag of the built image."""
    return images.find(image).tags()[0]


@pytest.fixture(scope="session")
def model(image: str) -> str:
    """The directory of the image's example model, or an empty text if it needs none."""
    return run.example_model(image)


@pytest.fixture(scope="session")
def request_file(image: str) -> Path:
    """The image's documented request."""
    return run.request_file(image)


@pytest.fixture(scope="session")
def sample(
    image: str, model: str, request_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Sample:
    """A newly trained model and the framework's own answer to a request.

    A fork has its example instead.
    """
    training = TRAINING / f"train_{images.find(image).image.name}.py"
    if not training.exists():
        message = json.loads(request_file.read_text())
        return Sample(Path(model) if model else None, message=message)
    directory = tmp_path_factory.mktemp("sample")
    command = run.training(training, run.bin_of(image) / "python")
    subprocess.run([*command, directory], env=uv.environment(), check=True)
    return samples.read(directory)


@pytest.fixture(scope="session")
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Returns a function that makes an empty directory readable by every user."""

    def make() -> Path:
        directory = tmp_path_factory.mktemp("mounted")
        directory.chmod(0o755)
        return directory

    return make


@pytest.fixture(scope="session")
def asked(
    tag: str, model: str, sample: Sample, new_directory: Callable[[], Path]
) -> dict[str, Pod]:
    """Pods that serve the tests' requests."""
    operators = partial(pods.operators, tag, sample.model)
    return {
        "plain": pods.plain(model),
        "plain, upstream": pods.plain(model, *pods.STRICT, **pods.UPSTREAMS),
        "operator": operators(new_directory()),
        "operator, upstream": operators(new_directory(), pods.OPENSHIFTS_USER, **pods.UPSTREAMS),
    }


@pytest.fixture(scope="session")
def ending(
    tag: str, sample: Sample, new_directory: Callable[[], Path]
) -> dict[str, tuple[Pod, tuple[Client, ...]]]:
    """Pods that get SIGTERM, with clients that send requests before and after it."""
    primehubs = partial(pods.primehub, tag, sample.model)
    openshifts = pods.operators(tag, sample.model, new_directory(), pods.OPENSHIFTS_USER)
    return {
        "PrimeHub": (primehubs(new_directory()), (keep_connection, keep_connection)),
        "PrimeHub, upstream": (primehubs(new_directory(), **pods.UPSTREAMS_WITHOUT_GRPC), ()),
        "OpenShift": (openshifts, (keep_connection, call)),
    }


@pytest.fixture(scope="session")
def failing(tag: str, sample: Sample, new_directory: Callable[[], Path]) -> dict[str, Pod]:
    """Pods whose model cannot be served."""
    unusable = samples.unusable(sample, new_directory)
    return {
        "nowhere": pods.nowhere(),
        "nowhere, upstream": pods.nowhere(**pods.UPSTREAMS),
    } | {name: pods.primehub(tag, model, new_directory()) for name, model in unusable.items()}


@pytest.fixture(scope="session")
def begun(
    tag: str,
    sample: Sample,
    asked: dict[str, Pod],
    ending: dict[str, tuple[Pod, tuple[Client, ...]]],
    failing: dict[str, Pod],
) -> Iterator[dict[str, Future[Any]]]:
    """All pods, started together: futures by name of their container, life or failure."""
    with ExitStack() as stack, ThreadPoolExecutor(len(asked | ending | failing)) as pool:
        yield {
            **{
                name: pool.submit(live, tag, pod, sample, clients)
                for name, (pod, clients) in ending.items()
            },
            **{
                name: pool.submit(stack.enter_context, serving(tag, pod))
                for name, pod in asked.items()
            },
            **{name: pool.submit(fail, tag, pod) for name, pod in failing.items()},
        }


@pytest.fixture(scope="session")
def container(begun: dict[str, Future[Any]]) -> Container:
    """A container with default settings."""
    return begun["plain"].result()


@pytest.fixture(scope="session")
def upstreams(begun: dict[str, Future[Any]]) -> Container:
    """A container with upstream's server, where only /dev/shm is writable."""
    return begun["plain, upstream"].result()
