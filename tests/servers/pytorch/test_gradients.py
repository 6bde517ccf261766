"""Modules that compute gradients in `forward`, such as forces from an energy."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_nets import Mlp, seeded

from prepackaged import ClientError

ROWS = [[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class Forces(nn.Module):
    """Turns gradients on itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, positions: Tensor) -> Any:
        with torch.enable_grad():
            positions = positions.detach().requires_grad_()
            energy = self.layer(positions).pow(2).sum(-1)
            return energy, -torch.autograd.grad([energy.sum()], [positions])[0]


class Relying(nn.Module):
    """Relies on the caller for gradients to be on, as they are by default."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, positions: Tensor) -> Any:
        positions = positions.detach().requires_grad_()
        energy = self.layer(positions).pow(2).sum(-1)
        force = torch.autograd.grad([energy.sum()], [positions])[0]
        assert force is not None
        return energy, -force


def save(module: nn.Module, form: str, directory: Path) -> None:
    """Save the module as weights with their class, or as TorchScript."""
    if form == "TorchScript":
        torch.jit.script(module).save(directory / "model.pt")
        return
    net = type(module)
    torch.save(module.state_dict(), directory / "model.pt")
    source = inspect.getsource(net).replace(f"class {net.__name__}(", "class PyTorchModel(")
    head = "from typing import Any\nimport torch\nfrom torch import Tensor, nn\n\n"
    (directory / "net.py").write_text(head + source)


@pytest.mark.parametrize(
    ("net", "form"), [(Forces, "weights"), (Relying, "weights"), (Relying, "TorchScript")]
)
def test_a_module_may_compute_gradients(
    net: type[nn.Module], form: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Gradients that `forward` computes are answered as in PyTorch, also after a bad request."""
    module = seeded(net)
    save(module, form, tmp_path)
    model = model_of(tmp_path)

    with pytest.raises(ClientError):
        model.predict([[1.0, 2.0]])
    answers = [model.predict(ROWS) for _ in range(2)]

    energy, force = module(torch.tensor(ROWS))
    for answer in answers:
        np.testing.assert_allclose(answer["output_0"], energy.detach().numpy(), rtol=1e-5)
        np.testing.assert_allclose(answer["output_1"], force.numpy(), rtol=1e-5)


def test_other_modules_are_called_without_gradients(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """A module that computes no gradients works in PyTorch's fastest mode."""
    saved(Mlp)
    model = model_of(tmp_path)
    modes = []
    model.network.module.register_forward_hook(
        lambda *_: modes.append(torch.is_inference_mode_enabled())
    )

    model.predict([[1.0, 2, 3, 4]])

    assert modes == [True]
