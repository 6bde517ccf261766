"""Models from real converters, and from onnx.helper for rare cases, and servers with them."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import ROOT, Server, serve_here

import uv

SERVER = ROOT / "onnx/server"
HERE = Path(__file__).parent
sys.path[:0] = [str(SERVER), str(HERE)]
importlib.import_module("onnx_environment")  # before any test's own onnxruntime

Post = Callable[[Any], tuple[int, Any]]


@pytest.fixture(scope="session")
def sklearn_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models that convert_sklearn.py writes."""
    wanted = ("skl2onnx==1.20.0", "scikit-learn==1.9.1", "pandas")
    return written(HERE / "convert_sklearn.py", wanted, tmp_path_factory.mktemp("sklearn"))


@pytest.fixture(scope="session")
def torch_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models that export_torch.py writes."""
    wanted = ("torch==2.13.0+cpu", "onnxscript", "numpy")
    return written(HERE / "export_torch.py", wanted, tmp_path_factory.mktemp("torch"))


def written(script: Path, requirements: tuple[str, ...], directory: Path) -> Path:
    """The directory that the script has filled, run in a separate environment."""
    wanted = [word for each in requirements for word in ("--with", each)]
    options = ("--quiet", "--no-project", "--python", "3.11", *uv.find_links(str(requirements)))
    uv.run("run", *options, *wanted, "python", "-W", "ignore", script, directory)
    return directory


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Any]:
    """A function that takes a model directory or file and parameters and loads the Model."""
    from Model import Model  # the server's module, found once SERVER is on the path

    def load(place: Path, **parameters: Any) -> Any:
        model = Model(str(place), **parameters)
        model.load()  # as microservices do
        return model

    return load


@pytest.fixture
def loaded(tmp_path: Path, model_of: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes a graph of onnx.helper and parameters and loads the Model."""

    def load(graph: Any, **parameters: Any) -> Any:
        (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
        return model_of(tmp_path, **parameters)

    return load


@pytest.fixture
def serve_model(model_of: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """A function that takes a model directory or file and serves it in this process."""
    with ExitStack() as stack:

        def start(place: Path, **parameters: Any) -> Server:
            return stack.enter_context(serve_here(model_of(place, **parameters)))

        yield start


@pytest.fixture
def post_to(loaded: Callable[..., Any]) -> Iterator[Callable[..., Post]]:
    """A function that takes a graph and parameters and returns one that posts to its server."""
    with ExitStack() as stack:

        def start(graph: Any, **parameters: Any) -> Post:
            server = stack.enter_context(serve_here(loaded(graph, **parameters)))

            def post(body: Any) -> tuple[int, Any]:
                response = server.post(body)
                return response.status_code, response.json()

            return post

        yield start


@pytest.fixture(scope="session")
def answers() -> Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]:
    """A function from a script's model to its inputs by name and the framework's answers."""

    def read(model: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        saved: Mapping[str, Any] = np.load(model.with_suffix(".npz"))
        marked = "expected "
        inputs = {name: saved[name] for name in saved if not name.startswith(marked)}
        expected = {name.removeprefix(marked): saved[name] for name in saved if name not in inputs}
        return inputs, expected

    return read
