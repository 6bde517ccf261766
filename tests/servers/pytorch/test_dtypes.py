"""Modules with weights of several floating-point dtypes, or with constants as weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_arguments import saved_as
from torch import Tensor, nn

from prepackaged import ClientError

ROWS = [[1.2345, 2.5]]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class Cooled(nn.Module):
    """Has a first weight of another dtype than the layer that takes the input."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor([2.0]).half())
        self.layer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.temperature.float()


class Headed(nn.Module):
    """Converts to the dtype of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2).double()
        self.head = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).float())


@pytest.mark.parametrize("is_script", [False, True], ids=["weights", "TorchScript"])
@pytest.mark.parametrize(
    ("net", "dtype"), [(Cooled, torch.float32), (Headed, torch.float64)], ids=["float", "double"]
)
def test_rows_take_the_dtype_that_the_first_layer_takes(
    net: type[nn.Module],
    dtype: torch.dtype,
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """Rows get a dtype that the module accepts, also if its weights have several."""
    module = saved_as(net, tmp_path, is_script=is_script)

    answer = model_of(tmp_path).predict(ROWS)

    np.testing.assert_allclose(answer, asked(module, ROWS, dtype=dtype).numpy(), rtol=1e-6)


@pytest.mark.parametrize("number", [3.4e38, -3.4e38, 2**128 - 2**104])
def test_numbers_beyond_bfloat16_are_refused_where_the_weights_have_it(
    number: float, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A number that bfloat16 would round to infinity is refused; infinity itself is accepted."""
    module = nn.Sequential(nn.Linear(2, 2)).bfloat16().eval()
    torch.save(module, tmp_path / "model.pt")
    model = model_of(tmp_path, allow_pickle="true")

    with pytest.raises(ClientError, match=r"expected bfloat16 from -3.38.* to 3.38.* at \[1, 0\]"):
        model.predict([[1, 2], [number, 1]])

    assert np.isinf(model.predict([[np.inf, 1]])).all()
    assert np.isfinite(model.predict([[3.38e38, 1]])).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_take_the_dtype_of_a_frozen_graph(
    dtype: torch.dtype, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """A frozen graph has no weights; its constants have the dtype of the rows."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).to(dtype).eval()
    torch.jit.freeze(torch.jit.script(module)).save(tmp_path / "model.pt")

    answer = model_of(tmp_path).predict(ROWS)

    assert answer.tolist() == asked(module, ROWS, dtype=dtype).double().tolist()


def test_the_numbers_in_a_trace_do_not_count(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """A traced graph without weights takes float32, although its numbers are doubles."""
    torch.jit.trace(Halved(), torch.ones(1, 2)).save(tmp_path / "model.pt")

    assert model_of(tmp_path).predict(ROWS).dtype == np.float32


class Halved(nn.Module):
    """Multiplies by a number."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.5
