"""Find the kinds of a module's inputs, and its outputs, by trial calls to a copy.

The module itself is not called, so that its caches and counters stay unchanged.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pytorch_guesses import assumed_kinds
from pytorch_specs import Input
from pytorch_trial import Trial
from pytorch_trial_outputs import outputs_of
from torch import nn

from prepackaged import TensorSpec
from prepackaged.arrays import Array


@dataclass(frozen=True)
class Findings:
    """The results of trial calls.

    `inputs` have the kinds that the module accepts. `outputs` is None if they are unknown.
    `by_row` are the outputs that are lists with an entry for each row. `changes` is
    true if each call changes the module. Unless `is_settled`, the kinds are assumptions.
    """

    inputs: list[Input]
    outputs: tuple[TensorSpec, ...] | None = None
    by_row: frozenset[str] = frozenset()
    changes: bool = False
    is_settled: bool = True


def tried(
    copied: nn.Module, called: nn.Module, inputs: list[Input], others: str | None, device: str
) -> Findings:
    """Make trial calls to the copy `copied`, which should be discarded afterwards.

    `called` is the copy in the form that is called, for example compiled.
    """
    needed = [each for each in inputs if not each.is_optional] or inputs[:1]
    trial = Trial(copied.to(device), called, inputs, others, device)
    if not needed or not trial.find(needed):
        return assumed(copied, inputs)
    settled = [
        replace(each, kinds=trial.accepted(each)) if len(each.kinds) > 1 and not each.dtype
        else each for each in needed
    ]  # fmt: skip
    settled = [replace(each, floating=trial.floating) for each in _compatible(trial, settled)]
    optional = [trial.add(each) for each in inputs if each not in needed]
    found = {each.name: each for each in (*_tied(trial, settled), *optional)}
    known, changes = [found[each.name] for each in inputs], trial.changes()
    return Findings(known, *outputs_of(trial, needed), changes=changes)


def assumed(module: nn.Module, inputs: list[Input]) -> Findings:
    """Findings without trial calls: the kinds are assumptions, the outputs unknown."""
    settled = [replace(each, kinds=assumed_kinds(each, module)) for each in inputs]
    return Findings(settled, is_settled=all(each.dtype or len(each.kinds) == 1 for each in inputs))


def settled_by(
    copied: nn.Module,
    inputs: list[Input],
    others: str | None,
    device: str,
    arrays: dict[str, Array],
) -> list[Input] | None:
    """The inputs with the kinds that the copy accepts for a request's values.

    Returns None if no call succeeds.
    """
    given = [each for each in inputs if each.name in arrays]
    trial = Trial(copied.to(device), copied, inputs, others, device, samples=arrays)
    if not trial.find(given):
        return None
    accepted = [replace(each, kinds=trial.accepted(each)) for each in given]
    kinds = {each.name: each.kinds for each in _compatible(trial, accepted)}
    return [
        replace(each, kinds=kinds.get(each.name, each.kinds), floating=trial.floating)
        for each in inputs
    ]


def _compatible(trial: Trial, inputs: list[Input]) -> list[Input]:
    """Remove kinds that the module accepts for each input, but not for all inputs together.

    A module that joins two inputs with `torch.cat` before a layer that needs floats may accept
    integers in either of them, but not in both.
    """
    free = {each.name: each.kinds for each in inputs if len(each.kinds) > 1 and "f" in each.kinds}
    for kind in "ib":
        together: list[str] = []
        for name, kinds in free.items():
            if kind in kinds and time.monotonic() < trial.deadline:
                together.append(name)
                if len(together) > 1 and not trial.take_together(together, kind, free):
                    free[together.pop()] = kinds.replace(kind, "")
    return [replace(each, kinds=free.get(each.name, each.kinds)) for each in inputs]


def _tied(trial: Trial, inputs: Iterable[Input]) -> Iterator[Input]:
    """The inputs; an input whose number of rows may differ gets its own name for the first axis."""
    inputs = list(inputs)
    free = [each for each in inputs if each.shape and each.shape[0] is None and not each.axes]
    for each in inputs:
        one = next(old for old in trial.inputs if old.name == each.name)
        if each in free and len(free) > 1 and not trial.is_tied(one):
            shape = each.shape or ()
            yield replace(each, axes=(f"rows of {each.name}", *[None] * (len(shape) - 1)))
        else:
            yield each
