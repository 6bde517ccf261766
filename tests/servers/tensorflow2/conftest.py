"""Models that current and earlier versions of TensorFlow and Keras save, and servers with them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from serving import ROOT, Server, serve_here

SERVER = ROOT / "tensorflow2/server"
sys.path.insert(0, str(SERVER))

Post = Callable[[Any], tuple[int, Any]]


@pytest.fixture(scope="session")
def load() -> Callable[..., Any]:
    """A function that takes a model directory or file and parameters and loads the Model."""
    from Model import Model  # the server's module, found once SERVER is on the path

    def load_model(place: Path, **parameters: Any) -> Any:
        model = Model(str(place), **parameters)
        model.load()
        return model

    return load_model


@pytest.fixture
def serve_model(load: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """A function that takes a model directory or file and serves it in this process."""
    with ExitStack() as stack:
        yield lambda place, **parameters: stack.enter_context(serve_here(load(place, **parameters)))


@pytest.fixture
def post_to(serve_model: Callable[..., Server]) -> Callable[..., Post]:
    """A function that takes a model and parameters and returns one that posts to its server."""

    def start(place: Path, **parameters: Any) -> Post:
        server = serve_model(place, **parameters)

        def post(body: Any) -> tuple[int, Any]:
            response = server.post(body)
            return response.status_code, response.json()

        return post

    return start
