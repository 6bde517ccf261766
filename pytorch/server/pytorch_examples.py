"""Example inputs that a module answers, found with a copy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from pytorch_guesses import with_rows
from pytorch_independence import has_rows
from pytorch_outputs import array_of
from pytorch_specs import Input

from prepackaged.arrays import Array

if TYPE_CHECKING:
    from pytorch_trial import Trial


def example_of(trial: "Trial", inputs: Sequence[Input]) -> dict[str, Array]:
    """Inputs of one row that the copy answers, after a trial call succeeded; else empty.

    Floats are 0.5, or as in that call.
    """
    tensors = {}
    for each in inputs:
        shape = trial.shapes[each.name]
        tensors[each.name] = trial.tensor(each, with_rows(1, shape) if has_rows(each) else shape)
    halves = {
        name: torch.full_like(each, 0.5) if each.is_floating_point() else each
        for name, each in tensors.items()
    }
    for some in (halves, tensors):
        if not isinstance(trial.result_of(some), Exception):
            return {name: array_of(each) for name, each in some.items()}
    return {}
