"""The dtypes that values are converted to: by an input's first layers, else by trial calls."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  PyTorch's own word for it
from torch import Tensor, nn

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n\n"
WORDS = [[[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 1.0, 2.0]]]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.attention(x, x, x, key_padding_mask=mask)[0]


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query = self.layer(x)
        return F.scaled_dot_product_attention(query, query, query, attn_mask=mask.unsqueeze(1))


class Filled(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x.masked_fill(mask, -1.0)


class Graph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        source, target = edge_index
        hidden = self.layer(x)
        return torch.zeros_like(hidden).index_add_(0, target, hidden[source])


class Gathered(nn.Module):
    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        return torch.gather(x, 1, places)


class Diffusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("noise", torch.linspace(0, 1, 10))

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        return self.layer(x) * self.noise[timestep][:, None]


class Hidden(nn.Module):
    """A module that branches on values, so it cannot be traced, only tried."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, category: Tensor, age: Tensor) -> Tensor:
        if age.sum() > 1e6:
            raise ValueError("too old")
        return torch.cat([self.embedding(category), self.norm(age)], 1)


class Odd(nn.Module):
    """A module with an input shape that trial calls do not guess."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 21)
        self.norm = nn.BatchNorm1d(7)

    def forward(self, category: Tensor, age: Tensor) -> Tensor:
        if age.sum() > 1e6:
            raise ValueError("too old")
        return self.embedding(category) + self.norm(age.reshape(-1, 7)).reshape(-1, 21)


class Truncating(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        scaled = torch.zeros_like(x)
        scaled[:, 0] = x[:, 0] * 0.3
        return scaled * self.scale


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        return self.layer(x)[keep]


class KeptHidden(nn.Module):
    """Like Kept, but cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        if x.sum() > 1e6:
            raise ValueError("too much")
        return self.layer(x)[:, keep]


class Ratio(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x).copy_(x / x.max(dim=1, keepdim=True).values)


class Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2, 3)

    def forward(self, kind: Tensor, x: Tensor) -> Tensor:
        if kind.sum() > 1e6:
            raise ValueError("no such kind")
        return torch.zeros_like(x).copy_(torch.sqrt(x)) + self.embedding(kind)


class Relative(nn.Module):
    def forward(self, x: Tensor, unit: Tensor) -> Tensor:
        return torch.zeros_like(x).copy_(x / unit)


class Echo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


YES = [[False, True]]
CASES: dict[str, tuple[type[nn.Module], dict[str, Any], dict[str, torch.dtype]]] = {
    "mask of attention": (Attention, {"x": WORDS, "mask": YES}, {"mask": torch.bool}),
    "no mask": (Attention, {"x": WORDS}, {}),
    "mask of weights": (Attention, {"x": WORDS, "mask": [[0.0, -1e9]]}, {"mask": torch.float32}),
    "mask of a function": (Scaled, {"x": WORDS, "mask": YES}, {"mask": torch.bool}),
    "filled": (Filled, {"x": [[1.5, 2]], "mask": [[1, 0]]}, {"mask": torch.bool}),
    "edges": (
        Graph,
        {"x": [[1, 2, 3], [4, 5, 6]], "edge_index": [[0, 1, 1], [1, 0, 1]]},
        {"edge_index": torch.int64},
    ),
    "gather": (Gathered, {"x": [[1.5, 2.5]], "places": [[1, 1]]}, {"places": torch.int64}),
    "timestep": (Diffusion, {"x": [[1, 2, 3]], "timestep": [4]}, {"timestep": torch.int64}),
    "whole ages": (Hidden, {"category": [1], "age": [[30, 40]]}, {"category": torch.int64}),
    "ages": (Hidden, {"category": [1], "age": [[30.5, 40]]}, {"category": torch.int64}),
    "an odd shape": (
        Odd,
        {"category": [1], "age": [list(range(21))]},
        {"category": torch.int64},
    ),
    "fractions cut off": (Truncating, {"x": [[10, 2]]}, {}),
    "a mask as an index": (
        Kept,
        {"x": [[1.5, 2], [3, 4], [5, 6]], "keep": [True, False, True]},
        {"keep": torch.bool},
    ),
    "positions as an index": (
        Kept,
        {"x": [[1.5, 2], [3, 4], [5, 6]], "keep": [2, 0]},
        {"keep": torch.int64},
    ),
    "a hidden mask as an index": (
        KeptHidden,
        {"x": [[1.5, 2]], "keep": [False, True]},
        {"keep": torch.bool},
    ),
    "yes as a category": (Hidden, {"category": [True], "age": [[3, 4]]}, {"category": torch.int64}),
    "a ratio cut off": (Ratio, {"x": [[1, 2, 4]]}, {}),
    "a root cut off": (Root, {"kind": [1], "x": [[2, 3, 4]]}, {"kind": torch.int64}),
    "a quotient cut off": (Relative, {"x": [[1, 3]], "unit": [[2, 2]]}, {}),
    "true and false": (Echo, {"x": [True, False]}, {"x": torch.bool}),
    "integers": (Echo, {"x": [2**60 + 1]}, {"x": torch.int64}),
    "fractions": (Echo, {"x": [1.5]}, {"x": torch.float32}),
}


def saved(net: type[nn.Module], directory: Path) -> nn.Module:
    """Save weights and source of the class, and return the module."""
    torch.manual_seed(0)
    module = net().eval()
    torch.save(module.state_dict(), directory / "model.pt")
    source = HEAD + inspect.getsource(net).replace(f"class {net.__name__}(", "class PyTorchModel(")
    (directory / "net.py").write_text(source)
    return module


@pytest.mark.parametrize("case", CASES)
def test_values_become_what_the_model_takes(
    case: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The answer equals PyTorch's for tensors of the right dtype."""
    net, inputs, dtypes = CASES[case]
    module = saved(net, tmp_path)
    tensors = {
        name: torch.tensor(value, dtype=dtypes.get(name, torch.float32))
        for name, value in inputs.items()
    }

    answer = model_of(tmp_path).predict(inputs)

    with torch.inference_mode():
        expected = module(**tensors).numpy()
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)
    assert answer.dtype == expected.dtype


def test_an_integer_is_what_the_program_was_exported_for(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A program determines the dtype of each input, and which sizes must be equal."""
    rows, steps = torch.export.Dim("rows"), torch.export.Dim("steps")
    example = (torch.ones(2, 3, dtype=torch.int32), torch.ones(2, 3, dtype=torch.bool))
    program = torch.export.export(
        Chosen(), example, dynamic_shapes=({0: rows, 1: steps}, {0: rows, 1: steps})
    )
    torch.export.save(program, tmp_path / "model.pt2")
    model = model_of(tmp_path)

    answer = model.predict({"x": [[1, 2]], "mask": [[True, False]]})

    assert [(each.name, each.dtype) for each in model.signature.inputs] == [
        ("x", np.int32),
        ("mask", np.bool_),
    ]
    assert [each.axes for each in model.signature.inputs] == [("batch", "x[1]")] * 2
    assert (answer.tolist(), answer.dtype) == ([[1, 0]], np.int32)
    with pytest.raises(Exception, match=r"one size of 'x\[1\]'.*'x' has 2, 'mask' has 1"):
        model.predict({"x": [[1, 2]], "mask": [[True]]})


class Chosen(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, x, torch.zeros_like(x))


def test_inputs_of_unequal_rows_are_accepted_if_the_model_accepts_them(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Inputs such as queries and items may have unequal numbers of rows if the model accepts it."""
    saved(Matching, tmp_path)
    model = model_of(tmp_path)

    answer = model.predict({"queries": [[1, 2]], "items": [[1, 2], [3, 4], [5, 6]]})

    assert answer.shape == (1, 3)
    assert not model.batchable


class Strict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[1] != 5:
            raise ValueError("expected 5 tokens")
        return self.embedding(tokens)


@pytest.mark.parametrize("first", [[[1.0, 2.0]], [[1.5, 2.0, 3.0, 4.0, 5.0]]])
def test_a_bad_first_request_does_not_settle_the_kinds(
    first: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """If the model refuses the first request, a later one shows which kinds it accepts."""
    module = saved(Strict, tmp_path)
    model = model_of(tmp_path)

    with pytest.raises(Exception, match="the model"):
        model.predict(np.array(first))
    answer = model.predict(np.array([[1.0, 2, 3, 4, 5]]))

    assert answer.tolist() == module(torch.tensor([[1, 2, 3, 4, 5]])).tolist()


class Matching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(2, 4)
        self.right = nn.Linear(2, 4)

    def forward(self, queries: Tensor, items: Tensor) -> Tensor:
        return self.left(queries) @ self.right(items).T
