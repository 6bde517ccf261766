"""Whole numbers, in which JSON has no fractions, for modules that compute with floats."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_arguments import saved_as
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
AS = pytest.mark.parametrize("is_script", [False, True], ids=["weights", "TorchScript"])


class Powers(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**7


class Product(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.prod(1)


class Squared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x * x
        return x * self.scale


@AS
@pytest.mark.parametrize("net", [Powers, Product, Squared])
def test_numbers_beyond_64_bits_are_computed_as_floats(
    net: type[nn.Module],
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """Whole numbers get the answer of floats where PyTorch's integers would overflow."""
    module = saved_as(net, tmp_path, is_script=is_script)
    rows = [[1000, 2000, 3000, 4000, 5000, 6000]]

    answer = model_of(tmp_path).predict(rows)

    np.testing.assert_allclose(answer, asked(module, rows).numpy(), rtol=1e-5)


class Cubed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**3


class Distance(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * x).sum(1)


@AS
@pytest.mark.parametrize(
    ("net", "rows"),
    [(Cubed, [[3_000_000, 2, 4_000_000]]), (Distance, [[4_000_000_000, 3_000_000_000]])],
)
def test_whole_numbers_in_the_millions_are_computed_as_floats_if_their_powers_are_too_large(
    net: type[nn.Module],
    rows: Any,
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """A client's 3000000 is 3000000.0 for a module that would compute beyond 64 bits with it."""
    module = saved_as(net, tmp_path, is_script=is_script)

    answer = model_of(tmp_path).predict(rows)

    np.testing.assert_allclose(answer, asked(module, rows).numpy(), rtol=1e-5)


class Shifted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x % 1000 + 10 * x


@AS
def test_whole_numbers_stay_exact_if_the_module_can_compute_with_them(
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """Identifiers beyond the precision of float32 keep their last digits."""
    saved_as(Shifted, tmp_path, is_script=is_script)

    assert model_of(tmp_path).predict([[1234567891]]).tolist() == [[12345679801]]


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return self.layer(torch.cat([a, b, c], dim=1))


class Stacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return self.layer(torch.stack([a, b, c])).sum(0)


class Chosen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return self.layer(torch.where(c > 0, a, b) + c)


class Halved(nn.Module):
    """Writes halves into the joined tensor: in a tensor of integers they would be zeros."""

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        joined = torch.cat([a, b, c], dim=1)
        joined[:, 0] = 0.5
        return joined


@AS
@pytest.mark.parametrize("net", [Joined, Stacked, Chosen, Halved])
@pytest.mark.parametrize(
    "values",
    [([[1, 2]], [[3, 4]], [[5, 6]]),
     ([[1, 2]], [[0.5, 4]], [[5, 6]]),
     ([[1, 2]], [[3, 4]], [[0.5, 6]])],
    ids=["whole", "fraction in b", "fraction in c"],
)  # fmt: skip
def test_whole_numbers_in_joined_inputs_are_what_the_layer_takes(
    net: type[nn.Module],
    values: Any,
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """Inputs that forward joins get the answer of floats, whichever of them have fractions."""
    module = saved_as(net, tmp_path, is_script=is_script)

    answer = model_of(tmp_path).predict(dict(zip("abc", values, strict=True)))

    np.testing.assert_allclose(answer, asked(module, *values).numpy(), rtol=1e-5)


class Ids(nn.Module):
    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.stack([user, item], dim=1)


def test_joined_whole_numbers_stay_exact_where_nothing_needs_floats(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Two IDs of 64 bits that forward joins are answered digit by digit."""
    saved_as(Ids, tmp_path, is_script=True)
    ids = [1623456789012345679, 1623456789012345681]

    answer = model_of(tmp_path).predict({"user": ids[:1], "item": ids[1:]})

    assert answer.tolist() == [ids]
