"""Facts that the server finds in a model: names, dtypes, shapes, and whether requests stack."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch_nets import Cifar, Mixed, Mlp, Mnist, Pair, Recurrent, Tokens, seeded

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def tensor(name: str, shape: list[int] | None = None, datatype: str | None = "FP32") -> Any:
    """The metadata of an input or an output."""
    described = {"name": name, "datatype": datatype, "shape": shape}
    return {key: value for key, value in described.items() if value is not None}


ROWS = ([tensor("x", [-1, 4])], [tensor("output", [-1, 3])])
IMAGES = ([tensor("x", [-1, 3, -1, -1])], [tensor("output", [-1, 10])])
DESCRIBED: dict[type[nn.Module], tuple[list[Any], list[Any]]] = {
    Mlp: ROWS,
    Cifar: IMAGES,
    Mnist: ([tensor("x", [-1, 1, -1, -1])], [tensor("output", [-1, 10])]),
    Tokens: ([tensor("tokens", datatype="INT64")], []),
    Mixed: (
        [tensor("category", datatype="INT64"), tensor("size"), tensor("weight", datatype=None)],
        [],
    ),
    Pair: ([tensor("left", datatype=None), tensor("right", datatype=None)], []),
    Recurrent: (
        [tensor("steps", [-1, -1, 3])],
        [
            tensor("output_0", [-1, -1, 5]),
            tensor("output_1_0", [1, -1, 5]),
            tensor("output_1_1", [1, -1, 5]),
        ],
    ),
}


@pytest.mark.parametrize("net", DESCRIBED, ids=lambda net: net.__name__)
def test_inputs_and_outputs_of_a_class_are_described(
    net: type[nn.Module],
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
) -> None:
    """A class's inputs come from forward's arguments and layers, its outputs from a first call."""
    saved(net)

    metadata = model_of(tmp_path).init_metadata()

    assert (metadata["inputs"], metadata["outputs"]) == DESCRIBED[net]


@pytest.mark.parametrize("is_traced", [False, True], ids=["scripted", "traced"])
@pytest.mark.parametrize(
    ("net", "example"), [(Mlp, torch.ones(1, 4)), (Cifar, torch.ones(1, 3, 32, 32))]
)
def test_inputs_and_outputs_of_torchscript_are_described(
    net: type[nn.Module],
    example: torch.Tensor,
    tmp_path: Path,
    model_of: Callable[..., Any],
    *,
    is_traced: bool,
) -> None:
    """TorchScript's graph gives the same metadata as the class."""
    module = seeded(net)
    script = torch.jit.trace(module, example) if is_traced else torch.jit.script(module)
    script.save(tmp_path / "model.pt")

    metadata = model_of(tmp_path).init_metadata()

    assert (metadata["inputs"], metadata["outputs"]) == DESCRIBED[net]


def test_inputs_and_outputs_of_a_program_are_described(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """An exported program's metadata have all sizes, -1 for free ones."""
    rows = torch.export.Dim("rows", max=1000)
    program = torch.export.export(
        seeded(Tokens), (torch.ones(2, 3, dtype=torch.long),), dynamic_shapes={"tokens": {0: rows}}
    )
    torch.export.save(program, tmp_path / "model.pt2")

    metadata = model_of(tmp_path).init_metadata()

    assert metadata["inputs"] == [tensor("tokens", [-1, 3], "INT64")]
    assert metadata["outputs"] == [tensor("output", [-1, 2])]


@pytest.mark.parametrize(
    ("net", "stacks"), [(Mlp, True), (Cifar, True), (Tokens, True), (Recurrent, False)]
)
def test_requests_are_stacked_where_one_tensor_comes_out(
    net: type[nn.Module],
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
    tmp_path: Path,
    *,
    stacks: bool,
) -> None:
    """A model with a single output tensor is batchable; whether rows interact is tested later."""
    saved(net)

    assert model_of(tmp_path).batchable is stacks


class Typed(NamedTuple):
    """A named tuple of two tensors."""

    best: torch.Tensor
    rest: torch.Tensor


ONES = torch.ones(2)
ANSWERS: dict[str, tuple[Any, Any]] = {
    "tensor": (ONES, {"output": [1, 1]}),
    "list": ([ONES, 2 * ONES], {"output_0": [1, 1], "output_1": [2, 2]}),
    "dict": ({"a": ONES, "b": None}, {"a": [1, 1]}),
    "named tuple": (Typed(ONES, 3 * ONES), {"best": [1, 1], "rest": [3, 3]}),
    "nested": ({"a": (ONES, [ONES])}, {"a_0": [1, 1], "a_1_0": [1, 1]}),
    "number": ((ONES, 0.5), {"output_0": [1, 1], "output_1": 0.5}),
    "float16": (ONES.half(), {"output": [1, 1]}),
    "bfloat16": (ONES.bfloat16(), {"output": [1, 1]}),
    "sparse": (ONES.to_sparse(), {"output": [1, 1]}),
    "needs a gradient": (nn.Parameter(ONES), {"output": [1, 1]}),
    "whole numbers": (torch.tensor([2**40]), {"output": [2**40]}),
    "booleans": (torch.tensor([True]), {"output": [True]}),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_whatever_forward_gives_becomes_arrays(kind: str) -> None:
    """Results of `forward` of any kind become arrays by name, on the CPU, in a JSON dtype."""
    from pytorch_calls import Network  # the server's modules, found once conftest has run
    from pytorch_findings import Findings
    from pytorch_specs import Input

    given, expected = ANSWERS[kind]
    network = Network(Giving(given), Findings([Input("x")]), "cpu")

    answer = network({"x": np.ones((1, 1))})

    assert {name: array.tolist() for name, array in answer.items()} == expected
    assert all(array.dtype != np.float16 for array in answer.values())


class Giving(nn.Module):
    """A module that returns a fixed result."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.__dict__["given"] = given

    def forward(self, x: torch.Tensor) -> Any:
        return self.given
