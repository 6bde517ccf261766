"""Answers by row: one entry per row of the request, as lists if rows differ in size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from serving import Server
from torch import Tensor, nn

from prepackaged import ClientError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class Squeezed(nn.Module):
    """Ends in a squeeze, as exports for one image do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).squeeze()


class Summed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum()


class Detector(nn.Module):
    """Returns the values above 0.5, any number of them, and their positions."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        places = (x[0] > 0.5).nonzero()[:, 0]
        return {"places": places, "values": x[0][places][None]}


class Lists(nn.Module):
    """Returns a dict for each image, as torchvision's detectors do."""

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        return [{"places": (row > 0.5).nonzero()[:, 0], "best": row.max()} for row in x]


class Plain(nn.Module):
    """Returns a list with a tensor for each row."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [row[row > 0.5] for row in x]


class Levels(nn.Module):
    """Returns a list of two tensors, for any number of rows."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x * 2, x * 3]


def export(module: nn.Module, path: Path) -> None:
    """Save a program whose batch is one row."""
    torch.manual_seed(0)
    torch.export.save(torch.export.export(module.eval(), (torch.rand(1, 4),)), path / "model.pt2")


@pytest.mark.parametrize("count", [1, 3])
def test_a_squeezed_program_of_one_row_answers_rows(
    count: int, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A program for one row that squeezes its output answers as many rows as requested."""
    module = Squeezed().eval()
    export(module, tmp_path)
    model = model_of(tmp_path)
    rows = np.random.default_rng(0).random((count, 4), dtype=np.float32)

    answer = model.predict(rows)

    expected = [module(torch.tensor(row[None])).tolist() for row in rows]
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert [each.shape for each in model.signature.outputs] == [(None, 3)]


def test_a_program_of_one_row_may_answer_a_number(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A program for one row that returns a number answers one number per row."""
    export(Summed(), tmp_path)

    assert model_of(tmp_path).predict([[1, 2, 3, 4], [1, 1, 1, 1]]).tolist() == [10, 4]


class Stepped(nn.Module):
    """A recurrent layer that takes its state, whose first axis is the layers."""

    def __init__(self, kind: str = "GRU") -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(3, 2, batch_first=True)

    def forward(self, steps: Tensor, state: Tensor) -> Any:
        return self.layer(steps, (state, state) if isinstance(self.layer, nn.LSTM) else state)[0]


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_the_layers_of_a_state_are_not_a_batch(
    kind: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A program for one sequence and its state takes exactly these: [layers, 1, features]."""
    module = Stepped(kind).eval()
    given = torch.rand(1, 4, 3), torch.rand(1, 1, 2)
    torch.export.save(torch.export.export(module, given), tmp_path / "model.pt2")
    model = model_of(tmp_path)
    steps, state = (each.numpy() for each in given)

    answer = model.predict({"steps": steps, "state": state})

    np.testing.assert_allclose(answer, module(*given).detach().numpy(), rtol=1e-5)
    assert [each.shape for each in model.signature.inputs] == [(1, 4, 3), (1, 1, 2)]
    with pytest.raises(ClientError, match=r"'steps': expected float32 of shape \[1, 4, 3\]"):
        model.predict({"steps": np.repeat(steps, 2, 0), "state": np.repeat(state, 2, 0)})


FEW, MANY = [0.9, 0.1, 0.1, 0.1], [0.9, 0.9, 0.1, 0.9]
FOUND = {tuple(FEW): [0], tuple(MANY): [0, 1, 3]}


@pytest.mark.parametrize("rows", [[FEW], [MANY], [FEW, FEW], [FEW, MANY], [MANY, FEW, FEW]])
@pytest.mark.parametrize("save", ["program", "class", "TorchScript"])
def test_detectors_answer_a_list_for_each_row(
    save: str, rows: list[list[float]], tmp_path: Path, server_on: Callable[..., Server]
) -> None:
    """A detector's rows are answered as lists, even if their lengths are equal."""
    allowed = {}
    if save == "program":
        export(Detector(), tmp_path)
    elif save == "class":
        torch.save(Lists(), tmp_path / "model.pt")
        allowed = {"allow_pickle": "true"}
    else:
        torch.jit.script(Lists()).save(tmp_path / "model.pt")

    answer = server_on(tmp_path, **allowed).post({"data": {"ndarray": rows}})

    assert answer.json()["jsonData"]["places"] == [FOUND[tuple(row)] for row in rows]


@pytest.mark.parametrize("rows", [[FEW], [FEW, FEW], [FEW, MANY]])
def test_a_list_that_has_a_tensor_for_each_row_is_answered_by_row(
    rows: list[list[float]], tmp_path: Path, server_on: Callable[..., Server]
) -> None:
    """Trial calls with different numbers of rows detect a list with a tensor for each row."""
    torch.save(Plain(), tmp_path / "model.pt")

    answer = server_on(tmp_path, allow_pickle="true").post({"data": {"ndarray": rows}})

    expected = [[value for value in row if value > 0.5] for row in rows]
    for got, row in zip(answer.json()["data"]["ndarray"], expected, strict=True):
        assert got == pytest.approx(row)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_list_of_other_tensors_is_several_outputs(
    count: int, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Other lists are several outputs, even if there are as many rows as tensors."""
    torch.save(Levels(), tmp_path / "model.pt")

    answer = model_of(tmp_path, allow_pickle="true").predict(np.ones((count, 4)))

    assert answer == {"output_0": [[2.0] * 4] * count, "output_1": [[3.0] * 4] * count}


@pytest.mark.parametrize("rows", [[FEW], [FEW, FEW], [FEW, MANY]])
@pytest.mark.parametrize("save", ["program", "lists", "dicts"])
def test_lists_by_row_are_bytes_in_the_metadata_of_v2_and_in_its_answers(
    save: str, rows: list[list[float]], tmp_path: Path, server_on: Callable[..., Server]
) -> None:
    """Each row is JSON in an element of BYTES, even if the rows' lengths are equal."""
    if save == "program":
        export(Detector(), tmp_path)
    else:
        torch.save(Plain() if save == "lists" else Lists(), tmp_path / "model.pt")
    server = server_on(tmp_path, allow_pickle="true")
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 4], "data": rows}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    answer = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    kinds = {each["name"]: (each["datatype"], each["shape"]) for each in described}
    for output in answer:
        assert kinds[output["name"]] == (output["datatype"], [-1])
        assert output["shape"] == [len(rows)]
    places = next(each for each in answer if each["datatype"] == "BYTES")["data"]
    found = [[value for value in row if value > 0.5] for row in rows]
    wanted = [FOUND[tuple(row)] for row in rows] if save != "lists" else found
    assert [json.loads(each) for each in places] == [pytest.approx(each) for each in wanted]
