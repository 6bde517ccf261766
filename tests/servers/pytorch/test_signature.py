"""The signature has the facts that the module knows; calls do not depend on the thread."""

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_nets import Mixed, Mlp, Tokens, seeded

from prepackaged import TensorSpec


def test_inputs_are_the_arguments_of_forward(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """Inputs are forward's arguments in order, with the dtype of the layer that each goes into.

    An argument with a default other than None is not an input.
    """
    arguments = inspect.signature(saved(Mixed).forward).parameters.values()

    inputs = model_of(tmp_path).signature.inputs

    assert [each.name for each in inputs] == [
        each.name for each in arguments if each.default in (each.empty, None)
    ]
    assert (inputs[0].dtype, inputs[1].dtype) == (np.int64, np.float32)


def test_outputs_are_what_the_module_gives(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """Outputs have the dtype and row shape of forward's result, in a batch of any size."""
    answer = saved(Mlp)(torch.zeros(5, 4))

    signature = model_of(tmp_path).signature

    assert signature.inputs == (TensorSpec("x", "float32", (None, 4)),)
    assert signature.outputs == (TensorSpec("output", "float32", (None, answer.shape[1])),)
    assert signature.sources == {"inputs": "model", "outputs": "model"}


def test_outputs_are_unknown_where_nothing_could_be_tried(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """Outputs are unknown for a module whose input may have any shape."""
    saved(Tokens)

    signature = model_of(tmp_path).signature

    assert signature.outputs is None
    assert signature.sources == {"inputs": "model"}


def test_an_exported_program_tells_it_all(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """An exported program has dtypes, fixed and free sizes in its graph."""
    rows = torch.export.Dim("rows")
    program = torch.export.export(seeded(Mlp), (torch.ones(2, 4),), dynamic_shapes=({0: rows},))
    torch.export.save(program, tmp_path / "model.pt2")
    (name,) = program.graph_signature.user_inputs

    (given,) = model_of(tmp_path).signature.inputs

    assert given == TensorSpec(str(name), "float32", (None, 4))
    assert given.axes == ("batch", None)


def test_inputs_share_the_batch_alone(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """Inputs with a free first axis share the batch; one of a fixed size does not."""

    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
            return (x + y) * by

    rows = {0: torch.export.Dim("rows")}
    example = (torch.ones(2, 3), torch.ones(2, 3), torch.ones(3))
    program = torch.export.export(Scaled(), example, dynamic_shapes=(rows, rows, None))
    torch.export.save(program, tmp_path / "model.pt2")

    axes = {each.name: each.axes for each in model_of(tmp_path).signature.inputs}

    assert axes == {"x": ("batch", None), "y": ("batch", None), "by": (None,)}


class Watching(nn.Module):
    """Records the thread-local state of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.seen: list[tuple[bool, bool, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(
            (torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.get_num_threads())
        )
        return self.layer(x)


def on_a_new_thread(function: Callable[[], Any]) -> Any:
    """The function's result on a new thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_a_call_is_the_same_on_any_thread(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """On any thread, a call has gradients off and the process's number of threads."""
    saved(Mlp)
    model = model_of(tmp_path)
    assert model.callable_from_any_thread
    module = model.network.module = Watching()
    rows = np.random.default_rng(0).random((64, 4), np.float32)

    here, there = model.predict(rows), on_a_new_thread(lambda: model.predict(rows))

    assert here.tolist() == there.tolist()
    assert module.seen == [(True, False, torch.get_num_threads())] * 2
