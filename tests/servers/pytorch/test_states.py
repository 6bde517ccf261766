"""State dicts with more than plain weights: extra state, quantized layers, lazy layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from prepackaged import DeploymentError

ROWS = [[1.5, 2.0, -1.0, 0.5]]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

HEAD = "import torch\nfrom torch import nn\n\n"
SCALED = """
class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.factor = 1.0

    def get_extra_state(self):
        return {"factor": self.factor}

    def set_extra_state(self, state):
        self.factor = state["factor"]

    def forward(self, x):
        return self.layer(x) * self.factor
"""
QUANTIZED = """
def PyTorchModel():
    net = nn.Sequential(nn.Linear(4, 2))
    return torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
"""
LAZY = """
def PyTorchModel():
    return nn.Sequential(nn.LazyLinear(2), nn.ReLU())
"""
LAZY_IMAGES = """
def PyTorchModel():
    return nn.Sequential(nn.LazyConv2d(2, 1, groups=2), nn.ReLU(), nn.LazyConvTranspose2d(3, 1))
"""


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str], nn.Module]:
    """A function that writes the source of a class or function and returns its module."""

    def make(source: str) -> nn.Module:
        (tmp_path / "net.py").write_text(HEAD + source)
        scope: dict[str, Any] = {}
        exec(HEAD + source, scope)
        torch.manual_seed(0)
        module: nn.Module = scope["PyTorchModel"]()
        return module.eval()

    return make


@pytest.mark.parametrize("source", [SCALED, QUANTIZED, LAZY], ids=["extra", "quantized", "lazy"])
def test_every_state_that_pytorch_loads_is_loaded(
    source: str,
    tmp_path: Path,
    made: Callable[[str], nn.Module],
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """Extra state, quantized and lazy layers answer as in PyTorch."""
    module = made(source)
    module.factor = 3.0
    expected = asked(module, ROWS)
    torch.save(module.state_dict(), tmp_path / "model.pt")

    answer = model_of(tmp_path).predict(ROWS)

    np.testing.assert_allclose(answer, expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("source", "example", "shape"),
    [(LAZY, (1, 4), (None, 4)), (LAZY_IMAGES, (1, 4, 2, 2), (None, 4, None, None))],
    ids=["features", "channels"],
)
def test_a_lazy_layer_needs_the_features_of_its_weight(
    source: str,
    example: tuple[int, ...],
    shape: Any,
    tmp_path: Path,
    made: Callable[[str], nn.Module],
    model_of: Callable[..., Any],
) -> None:
    """The input's shape comes from the weight that a lazy layer got from the file."""
    module = made(source)
    module(torch.ones(example))
    torch.save(module.state_dict(), tmp_path / "model.pt")

    (x,) = model_of(tmp_path).signature.inputs

    assert (x.shape, x.dtype) == (shape, np.float32)


@pytest.mark.parametrize(
    ("source", "name"), [(SCALED, "_extra_state"), (LAZY, "0.weight")], ids=["extra", "lazy"]
)
def test_missing_state_is_named(
    source: str, name: str, tmp_path: Path, made: Callable[[str], nn.Module], model_of: Any
) -> None:
    """State that the file lacks is named, also if it is no plain weight."""
    module = made(source)
    module(torch.ones(1, 4))
    state = module.state_dict()
    del state[name]
    torch.save(state, tmp_path / "model.pt")

    with pytest.raises(DeploymentError, match=f"weights are missing: {name}"):
        model_of(tmp_path)
