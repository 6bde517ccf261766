"""How `forward` takes its tensors: optional, by keyword, in dicts and lists, with numbers."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prepackaged import ClientError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture
def forward(tmp_path: Path, model_of: Callable[..., Any]) -> Callable[[str, str], Any]:
    """A function that takes forward's arguments and body and returns a Model with that module."""

    def make(arguments: str, body: str) -> Any:
        source = f"""
from typing import Dict, Mapping, Optional
import torch
from torch import Tensor, nn

class PyTorchModel(nn.Module):
    def forward(self, {arguments}):
{textwrap.indent(textwrap.dedent(body), " " * 8)}
"""
        (tmp_path / "net.py").write_text(source)
        torch.save({}, tmp_path / "model.pt")
        return model_of(tmp_path)

    return make


MODEL_OF_TEXT = """
logits = input_ids.float() * 2
if attention_mask is not None:
    logits = logits * attention_mask
return logits if labels is None else {"logits": logits, "loss": (logits - labels).sum()}
"""


@pytest.mark.parametrize(
    ("request_data", "expected"),
    [
        ([[1, 2]], [[2.0, 4.0]]),
        ({"input_ids": [[1, 2]]}, [[2.0, 4.0]]),
        ({"input_ids": [[1, 2]], "attention_mask": None}, [[2.0, 4.0]]),
        ({"input_ids": [[1, 2]], "attention_mask": [[1, 0]]}, [[2.0, 0.0]]),
        (
            {"input_ids": [[1, 2]], "labels": [[1, 1]]},
            {"logits": [[2.0, 4.0]], "loss": 4.0},
        ),
    ],
    ids=["rows", "one", "null", "two", "labels"],
)
def test_arguments_with_a_default_may_be_left_out(
    request_data: Any, expected: Any, forward: Callable[[str, str], Any]
) -> None:
    """Arguments with a default may be left out, even if all have one, as in text models."""
    model = forward("input_ids=None, attention_mask=None, labels=None", MODEL_OF_TEXT)

    answer = model.predict(request_data)

    assert (answer if isinstance(answer, dict) else answer.tolist()) == expected


@pytest.mark.parametrize(
    ("request_data", "words"),
    [
        ({}, "got none of them"),
        ({"attention_mask": [[1, 0]]}, "needs more of input_ids, labels"),
        ({"input_ids": [[1]], "colour": [1]}, "unknown: colour"),
    ],
)
def test_what_the_model_needs_nevertheless_is_asked_for(
    request_data: Any, words: str, forward: Callable[[str, str], Any]
) -> None:
    """If the model needs an argument with a default, the message names what was left out."""
    model = forward("input_ids=None, attention_mask=None, labels=None", MODEL_OF_TEXT)

    with pytest.raises(ClientError, match=words):
        model.predict(request_data)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ("self_, *, y", "return self_ - y"),
        ("self_, /, y", "return self_ - y"),
        ("batch", "return batch['self_'] - batch['y']"),
        ("batch: Dict[str, Tensor]", "return batch['self_'] - batch['y']"),
        ("batch: 'dict[str, Tensor]'", "return batch['self_'] - list(batch.values())[1]"),
        ("batch: Mapping[str, Tensor]", "return batch['self_'] - batch.get('y', 0)"),
        ("**batch", "return batch['self_'] - batch['y']"),
        ("self_, **others", "return self_ - others['y']"),
        ("self_: 'List[Tensor]', y", "return torch.stack(self_) - y"),
        ("self_: list[Tensor], y, z: Optional[list[Tensor]] = None", "return self_[0][None] - y"),
    ],
)
def test_tensors_are_passed_by_name_whatever_the_arguments_of_forward(
    arguments: str, body: str, forward: Callable[[str, str], Any]
) -> None:
    """Keyword-only, positional-only, dict and `**` arguments all take tensors by name."""
    model = forward(arguments, body)

    assert model.predict({"self_": [[3.5, 2]], "y": [[1, 1.5]]}).tolist() == [[2.5, 0.5]]


def test_keys_of_a_dict_are_inputs(forward: Callable[[str, str], Any]) -> None:
    """The keys that `forward` reads from a dict are inputs; other names are unknown."""
    model = forward("batch: Dict[str, Tensor]", "return batch['a'] - batch['b']")

    assert [each.name for each in model.signature.inputs] == ["a", "b"]
    with pytest.raises(ClientError, match="missing: b; unknown: c"):
        model.predict({"a": [1], "c": [1]})


class Numbers(nn.Module):
    """Takes plain numbers, lists and dicts of tensors, as TorchScript declares them."""

    def forward(
        self,
        x: Tensor,
        count: int,
        scale: float,
        flag: bool,  # noqa: FBT001  what is asked
        parts: list[Tensor],
    ) -> Tensor:
        total = x[:, :count] * scale
        for part in parts:
            total = total + part
        return total if flag else -total


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [("Optional[int] = None", 3, 3.0), ("int | None = None", 3, 3.0),
     ("'Optional[int]' = None", 3, 3),
     ("Optional[float] = None", 2.5, 2.5), ("Optional[bool] = None", True, 1.0),
     ("Optional[int] = None", None, -1.0)],
)  # fmt: skip
def test_an_optional_plain_number_may_be_set(
    declared: str, value: Any, expected: float, forward: Callable[[str, str], Any]
) -> None:
    """A number whose default is None is what the request says, or is left out."""
    model = forward(f"x, k: {declared}", "return x * float(-1 if k is None else +k)")

    assert model.predict({"x": [[1.0, 2]], "k": value}).tolist() == [[expected, 2 * expected]]
    assert model.predict([[1.0, 2]]).tolist() == [[-1, -2]]


class Repeated(nn.Module):
    """Takes a plain number that may be left out, as TorchScript declares it."""

    def forward(self, x: Tensor, k: int | None = None, scale: float = 2.0) -> Tensor:
        return x * scale if k is None else x * k


def test_torchscript_accepts_an_optional_plain_number(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A number whose default is None may be set; one with another default may not."""
    torch.jit.script(Repeated()).save(tmp_path / "model.pt")
    model = model_of(tmp_path)

    assert model.predict({"x": [[1.5]], "k": 3}).tolist() == [[4.5]]
    assert model.predict([[1.5]]).tolist() == [[3.0]]
    with pytest.raises(ClientError, match="unknown: scale"):
        model.predict({"x": [[1.5]], "scale": 1.0})


class ByName(nn.Module):
    """Takes a dict of tensors."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["left"] - batch["right"]


def test_torchscript_accepts_plain_numbers_and_lists(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """TorchScript takes plain numbers and lists of tensors; the suffix .jit is accepted."""
    torch.jit.script(Numbers()).save(tmp_path / "numbers.jit")
    model = model_of(tmp_path)
    numbers = {"x": [[1.0, 2, 3]], "count": 2, "scale": 0.5, "flag": False}

    answer = model.predict({**numbers, "parts": [[[1, 1]], [[2, 2]]]})

    assert answer.tolist() == [[-3.5, -4.0]]
    with pytest.raises(ClientError, match=r"input 'count': expected int64 of shape .*got 2\.5"):
        model.predict({**numbers, "count": 2.5, "parts": [[[1, 1]]]})
    with pytest.raises(ClientError, match=r"input 'flag': expected bool of shape .*got 3"):
        model.predict({**numbers, "flag": 3, "parts": [[[1, 1]]]})


def test_torchscript_accepts_a_dict_of_tensors(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The keys of a dict argument are read from TorchScript's graph."""
    torch.jit.script(ByName()).save(tmp_path / "model.pt")
    model = model_of(tmp_path)

    assert model.predict({"left": [3.5], "right": [1]}).tolist() == [2.5]
    assert [each.name for each in model.signature.inputs] == ["left", "right"]


@pytest.mark.parametrize("shape", [(5, 4), (5, 1, 4), (2, 3, 4), (2, 1, 3, 4)])
def test_layers_of_features_take_axes_before_them(
    shape: tuple[int, ...],
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """A model with only Linear layers takes rows, sequences of rows, and more leading axes."""
    from torch_nets import Mlp  # beside this file, found once that is on the path

    module = saved(Mlp)
    values = np.random.default_rng(0).random(shape)

    answer = model_of(tmp_path).predict(values)

    np.testing.assert_allclose(answer, asked(module, values).numpy(), rtol=1e-5)


class Stateful(nn.Module):
    """Takes the state of a recurrent layer, of another width than the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(2, 3, batch_first=True)

    def forward(self, steps: Tensor, state: Tensor) -> Any:
        return self.layer(steps, state)


class Weighted(nn.Module):
    """Takes the weight of a layer."""

    def forward(self, x: Tensor, weight: Tensor) -> Any:
        return nn.functional.linear(x, weight), weight.sum()


@pytest.mark.parametrize("is_script", [False, True], ids=["weights", "TorchScript"])
@pytest.mark.parametrize(
    ("net", "values"),
    [
        (Stateful, {"steps": [[[1.0, 2.0]], [[3.0, 4.0]]], "state": [[[0.0, 1, 2], [3, 4, 5]]]}),
        (Weighted, {"x": [[1.0, 2.0]], "weight": [[3.0, 4.0], [5.0, 6.0]]}),
    ],
    ids=["state", "weight"],
)
def test_only_the_input_of_a_layer_has_the_width_of_the_layer(
    net: type[nn.Module],
    values: dict[str, Any],
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """The state of a recurrent layer and a weight have shapes of their own."""
    module = saved_as(net, tmp_path, is_script=is_script)

    answer = model_of(tmp_path).predict(values)

    with torch.no_grad():
        expected = module(**{name: torch.tensor(value) for name, value in values.items()})
    np.testing.assert_allclose(answer["output_0"], expected[0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(answer["output_1"], expected[1].numpy(), rtol=1e-5)


def saved_as(net: type[nn.Module], directory: Path, *, is_script: bool) -> nn.Module:
    """Save the class as TorchScript, or its weights and its source; return the module."""
    from torch_nets import seeded, source_of  # beside this file, found once that is on the path

    module = seeded(net)
    if is_script:
        torch.jit.script(module).save(directory / "model.pt")
    else:
        torch.save(module.state_dict(), directory / "model.pt")
        (directory / "net.py").write_text(source_of(net))
    return module
