"""Find a module's inputs and outputs without changing it."""

from collections.abc import Callable
from dataclasses import dataclass

from pytorch_compile import compiled
from pytorch_copies import undisturbed
from pytorch_exported import Exported
from pytorch_findings import assumed, settled_by, tried
from pytorch_specs import Input, inputs_of, outputs_of_program
from torch import nn

from prepackaged import TensorSpec
from prepackaged.arrays import Array


@dataclass(frozen=True)
class Found:
    """The inputs and outputs of a module.

    `others` is the argument that takes tensors of any name. `outputs` is None if they are unknown.
    `by_row` are the outputs that are lists with an entry for each row. `settle` is used with the
    first answered request if trial calls could not find the kinds of values that the inputs
    accept, see `Network`. `changes` is true if each call changes the module, as far as a copy
    shows. Then requests do not share calls, because checking whether they may takes further calls.
    """

    inputs: list[Input]
    others: str | None
    outputs: tuple[TensorSpec, ...] | None
    by_row: frozenset[str]
    settle: Callable[[list[Input], dict[str, Array]], list[Input] | None] | None
    changes: bool


def look(
    module: nn.Module, fresh: Callable[[], nn.Module | None], device: str, compile_as: str | None
) -> Found:
    """Find inputs and outputs from the module, and by trial calls to copies that `fresh` makes.

    Raises `DeploymentError` if `forward` takes no tensors.
    """
    with undisturbed(device):
        inputs, others = inputs_of(module, fresh)
        copied = fresh()
        if copied is None:
            findings = assumed(module, inputs)
        else:
            findings = tried(copied, compiled(copied, compile_as), inputs, others, device)
    outputs = findings.outputs
    if isinstance(module, Exported):
        outputs = outputs_of_program(module)

    def settle(inputs: list[Input], arrays: dict[str, Array]) -> list[Input] | None:
        with undisturbed(device):
            copied = fresh()
            return settled_by(copied, inputs, others, device, arrays) if copied else None

    is_open = copied is not None and not findings.is_settled
    return Found(
        findings.inputs,
        others,
        outputs or None,
        findings.by_row,
        settle if is_open else None,
        findings.changes or copied is None,
    )
