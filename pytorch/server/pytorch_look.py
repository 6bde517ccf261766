"""What a module takes and gives, found out without touching it."""

from collections.abc import Callable
from dataclasses import dataclass

from pytorch_compile import compiled
from pytorch_exported import Exported
from pytorch_specs import Input, inputs_of, outputs_of_program
from pytorch_trial import assumed, tried, undisturbed
from torch import nn

from prepackaged import TensorSpec


@dataclass(frozen=True)
class Found:
    """The inputs, the argument that takes tensors of any name, the outputs, and those by row.

    `outputs` is None where nobody knows.
    """

    inputs: list[Input]
    others: str | None
    outputs: tuple[TensorSpec, ...] | None
    by_row: frozenset[str]


def look(
    module: nn.Module, fresh: Callable[[], nn.Module | None], device: str, compile_as: str | None
) -> Found:
    """Look at the module, and try what it does not tell on copies, which `fresh` gives.

    Raises `DeploymentError` where forward takes no tensors.
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
    return Found(findings.inputs, others, outputs or None, findings.by_row)
