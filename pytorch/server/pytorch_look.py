"""Find a module's inputs and outputs without changing it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pytorch_compile import compiled
from pytorch_copies import undisturbed
from pytorch_exported import Exported
from pytorch_findings import Findings, assumed, settled_by, tried
from pytorch_specs import Input, inputs_of, outputs_of_program
from torch import nn

from prepackaged.arrays import Array

Settle = Callable[[list[Input], dict[str, Array]], Findings | None]


@dataclass(frozen=True)
class Found:
    """The inputs and outputs of a module.

    `others` is the argument that takes tensors of any name. `findings` are those of trial calls;
    if none of these succeeded, `settle` makes further ones with the first answered request, see
    `Network`.
    """

    findings: Findings
    others: str | None
    settle: Settle | None


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
    if isinstance(module, Exported):
        findings = replace(findings, outputs=outputs_of_program(module) or None)

    def settle(inputs: list[Input], arrays: dict[str, Array]) -> Findings | None:
        with undisturbed(device):
            copied = fresh()
            return settled_by(copied, inputs, others, device, arrays) if copied else None

    is_open = copied is not None and not findings.is_tried
    return Found(findings, others, settle if is_open else None)
