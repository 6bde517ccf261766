"""Fixtures for the contract tests: a server started here, or one that already runs."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from differences import Pair
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, Server, serve

MODELS = Path(__file__).parent / "models"
PUBLISHED = ROOT / ".envs/upstream/bin" / UPSTREAM


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options with the addresses of a running server."""
    group = parser.getgroup("contract", "the server under test; without --url one is started")
    group.addoption("--url", help="its REST address, such as http://localhost:9000")
    group.addoption("--grpc", default="localhost:5000", help="its gRPC address")
    group.addoption("--metrics", default="http://localhost:6000", help="its metrics address")
    group.addoption(
        "--request",
        type=Path,
        default=ROOT / "skeleton/example/request.json",
        help="a file with a request that its model answers",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test against both servers, or against the one at --url."""
    if "server" in metafunc.fixturenames:
        url = metafunc.config.getoption("--url")
        programs = [url] if url else [UPSTREAM, OURS]
        metafunc.parametrize("server", programs, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server under test: the one at --url, or one started here."""
    option = request.config.getoption
    if option("--url"):
        yield Server(option("--url"), option("--grpc"), option("--metrics"), Path("/dev/null"))
    else:
        with serve(ROOT / "skeleton/server", program=PROGRAMS / request.param) as started:
            yield started


@pytest.fixture(scope="session")
def message(request: pytest.FixtureRequest) -> Any:
    """A request that the server's model can answer, as JSON."""
    return json.loads(request.config.getoption("--request").read_text())


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Pair]]:
    """Returns a function that serves a class of `models` with upstream's server and with ours."""
    if request.config.getoption("--url"):
        pytest.skip("compares two servers that it starts, not the one at --url")
    with ThreadPoolExecutor() as threads, ExitStack() as stack:

        def start(model: str, program: Path) -> Server:
            server = stack.enter_context(serve(MODELS, model, program))
            with grpc.insecure_channel(server.grpc) as channel:  # upstream's opens last
                grpc.channel_ready_future(channel).result(timeout=60)
            return server

        @cache
        def pair(model: str) -> Pair:
            started = [threads.submit(start, model, each) for each in (PUBLISHED, PROGRAMS / OURS)]
            theirs, ours = (server.result() for server in started)
            return theirs, ours

        yield pair
