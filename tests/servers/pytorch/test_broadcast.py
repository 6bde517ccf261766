"""Inputs that broadcast: their sum or product has the shape of a layer, not each of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_arguments import saved_as
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
IMAGE = np.random.default_rng(0).random((1, 3, 2, 2)).tolist()


class Masked(nn.Module):
    """Multiplies an image by a mask that has one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return self.layer(image * mask)


class Gated(nn.Module):
    """Multiplies rows by a gate with one number per row, and adds one for all rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor, gate: Tensor, shift: Tensor) -> Tensor:
        return self.layer(x * gate + shift)


class MaskedItems(nn.Module):
    """Takes the image and the mask in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.layer(batch["image"] * batch["mask"])


class Normalized(nn.Module):
    """Normalizes an image by buffers and by its own mean."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(3, 1, 1))
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        image = (image - self.mean) / 2
        return self.layer(image - image.mean(dim=1, keepdim=True))


CASES: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "mask": (Masked, {"image": IMAGE, "mask": [[[[1.0, 0.0], [0.5, 1.0]]]]}),
    "gate": (Gated, {"x": [[1.0, 2, 3, 4]] * 2, "gate": [[1.5], [2.0]], "shift": [[0.5, 1, 2, 3]]}),
    "items": (MaskedItems, {"image": IMAGE, "mask": [[[[1.0, 0.0], [0.5, 1.0]]]]}),
}


@pytest.mark.parametrize("is_script", [False, True], ids=["weights", "TorchScript"])
@pytest.mark.parametrize("case", CASES)
def test_inputs_broadcast_as_in_pytorch(
    case: str,
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """An operand may be smaller than the layer behind the operation."""
    net, values = CASES[case]
    module = saved_as(net, tmp_path, is_script=is_script)

    answer = model_of(tmp_path).predict(values)

    with torch.no_grad():
        tensors = {name: torch.tensor(value) for name, value in values.items()}
        expected = module(tensors) if net is MaskedItems else module(**tensors)
    np.testing.assert_allclose(answer, expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("is_script", [False, True], ids=["weights", "TorchScript"])
def test_operations_with_weights_keep_the_shape(
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """An image that is normalized before the first layer has the channels of that layer."""
    saved_as(Normalized, tmp_path, is_script=is_script)

    (image,) = model_of(tmp_path).signature.inputs

    assert image.shape == (None, 3, None, None)
