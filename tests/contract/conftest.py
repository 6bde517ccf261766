"""The server that the suite is run against: one started here, or one that runs already."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import ROOT, Server, serve


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a running server be named by its addresses."""
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


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server under test."""
    option = request.config.getoption
    if option("--url"):
        yield Server(option("--url"), option("--grpc"), option("--metrics"), Path("/dev/null"))
    else:
        with serve(ROOT / "skeleton/server") as started:
            yield started


@pytest.fixture(scope="session")
def message(request: pytest.FixtureRequest) -> Any:
    """A request that the server's model answers, as JSON."""
    return json.loads(request.config.getoption("--request").read_text())
