"""The metadata of V2 tells the datatype and shape of each output, also where JSON has no such."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from serving import Server
from test_arguments import saved_as
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
ROWS = np.arange(16, dtype=np.float32).reshape(2, 2, 4)


class Spectrum(nn.Module):
    """Returns complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(2, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(self.layer(x)).conj()


class Spectra(nn.Module):
    """Returns complex numbers beside others."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(2, 3, 1)

    def forward(self, x: Tensor) -> Any:
        hidden = self.layer(x)
        return torch.fft.rfft(hidden), hidden.argmax(1), hidden.sum(), hidden.half()


def described_and_answered(server: Server) -> tuple[list[Any], list[Any]]:
    """The outputs of the metadata, and those of an answer."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2, 4], "data": ROWS.ravel().tolist()}
    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    return described, server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]


def save_program(net: type[nn.Module], directory: Path) -> nn.Module:
    """Save a program for any number of rows."""
    module = net().eval()
    rows = {"x": {0: torch.export.Dim("rows")}}
    program = torch.export.export(module, (torch.tensor(ROWS),), dynamic_shapes=rows)
    torch.export.save(program, directory / "model.pt2")
    return module


@pytest.mark.parametrize("way", ["weights", "TorchScript", "program"])
def test_complex_numbers_are_pairs_of_floats(
    way: str, tmp_path: Path, server_on: Callable[..., Server], asked: Callable[..., Any]
) -> None:
    """A complex output has a last axis of two in the metadata and in an answer."""
    if way == "program":
        module = save_program(Spectrum, tmp_path)
    else:
        module = saved_as(Spectrum, tmp_path, is_script=way == "TorchScript")

    (described,), (answer,) = described_and_answered(server_on(tmp_path))

    expected = torch.view_as_real(asked(module, ROWS).resolve_conj()).numpy()
    assert (described["datatype"], answer["datatype"]) == ("FP32", "FP32")
    assert described["shape"][-1] == 2
    assert len(described["shape"]) == len(answer["shape"]) == 4
    got = np.reshape(answer["data"], answer["shape"])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_each_of_several_outputs_has_the_datatype_of_the_metadata(
    tmp_path: Path, server_on: Callable[..., Server]
) -> None:
    """Complex numbers, positions, a single number and half precision keep their datatypes."""
    saved_as(Spectra, tmp_path, is_script=False)

    described, answered = described_and_answered(server_on(tmp_path))

    assert [each["datatype"] for each in described] == ["FP32", "INT64", "FP32", "FP32"]
    assert [each["datatype"] for each in answered] == ["FP32", "INT64", "FP32", "FP32"]
    assert [len(each["shape"]) for each in described] == [len(each["shape"]) for each in answered]
