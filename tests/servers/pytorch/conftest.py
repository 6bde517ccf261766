"""Models that PyTorch itself saves, and servers with them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving import ROOT, Server, serve_here
from torch import nn

SERVER = ROOT / "pytorch/server"
sys.path[:0] = [str(SERVER), str(Path(__file__).parent)]


@pytest.fixture(autouse=True)
def forgotten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After each test, make the modules in its model directories impossible to import."""
    path = [*sys.path]
    yield
    sys.path[:] = path
    scratch = str(tmp_path_factory.getbasetemp())
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None)).startswith(scratch):
            del sys.modules[name]


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Any]:
    """A function that takes a model directory and parameters and returns the loaded Model."""
    from Model import Model  # the server's module, found once SERVER is on the path

    def load(directory: Path, **parameters: str) -> Any:
        model = Model(str(directory), **parameters)
        model.load()
        return model

    return load


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., nn.Module]:
    """A function that saves a class of torch_nets in `tmp_path`: weights and source."""
    from torch_nets import seeded, source_of  # beside this file, found once that is on the path

    def save(net: type[nn.Module]) -> nn.Module:
        module = seeded(net)
        torch.save(module.state_dict(), tmp_path / "model.pt")
        (tmp_path / "net.py").write_text(source_of(net))
        return module

    return save


@pytest.fixture
def server_on(model_of: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """A function that takes a model directory and parameters and serves it in this process."""
    with ExitStack() as stack:

        def start(directory: Path, **parameters: str) -> Server:
            return stack.enter_context(serve_here(model_of(directory, **parameters)))

        yield start


@pytest.fixture
def asked() -> Callable[..., Any]:
    """A function that takes a module and values and returns PyTorch's own answer."""

    def ask(module: nn.Module, *values: Any, dtype: torch.dtype = torch.float32) -> Any:
        with torch.inference_mode():
            return module(*(torch.tensor(np.asarray(each), dtype=dtype) for each in values))

    return ask
