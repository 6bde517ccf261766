"""Models that TensorFlow and Keras save, of today and of earlier times, behind servers."""

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
    """Give a model's directory or file and parameters, get the server's Model, loaded."""
    from Model import Model  # the server's module, found once SERVER is on the path

    def load_model(place: Path, **parameters: Any) -> Any:
        model = Model(str(place), **parameters)
        model.load()
        return model

    return load_model


@pytest.fixture
def serve_model(load: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """Give a model's directory or file and parameters, get our microservice on it, here."""
    with ExitStack() as stack:
        yield lambda place, **parameters: stack.enter_context(serve_here(load(place, **parameters)))


@pytest.fixture
def post_to(serve_model: Callable[..., Server]) -> Callable[..., Post]:
    """Give a model's directory or file and parameters, get a function that posts to the server."""

    def start(place: Path, **parameters: Any) -> Post:
        server = serve_model(place, **parameters)

        def post(body: Any) -> tuple[int, Any]:
            response = server.post(body)
            return response.status_code, response.json()

        return post

    return start
