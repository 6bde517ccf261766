"""Find the kinds of a module's inputs, and its outputs, by trial calls to a copy.

The module itself is not called, so that its caches and counters stay unchanged.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pytorch_examples import example_of
from pytorch_guesses import assumed_kinds
from pytorch_independence import answered_apart
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
    `by_row` are the outputs that are lists with an entry for each row. `is_shared` is true if
    requests may share a call: calls do not change the module, and rows do not influence each other,
    as far as a copy shows. Unless `is_tried`, no trial call succeeded, and the kinds are
    assumptions. `example` are inputs that a copy answered, by name.
    """

    inputs: list[Input]
    outputs: tuple[TensorSpec, ...] | None = None
    by_row: frozenset[str] = frozenset()
    is_shared: bool = False
    is_tried: bool = True
    example: Mapping[str, Array] = field(default_factory=dict)


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
    example = example_of(trial, needed)
    settled = [
        replace(each, kinds=trial.accepted(each)) if len(each.kinds) > 1 and not each.dtype
        else each for each in needed
    ]  # fmt: skip
    settled = [replace(each, floating=trial.floating) for each in _compatible(trial, settled)]
    optional = [trial.add(each) for each in inputs if each not in needed]
    found = {each.name: each for each in (*_tied(trial, settled), *optional)}
    known, is_shared = [found[each.name] for each in inputs], not trial.changes()
    apart = answered_apart(trial, needed) if is_shared else None
    outputs, by_row = outputs_of(trial, needed)
    if apart and apart.differ(by_row):
        is_shared = False
    return Findings(known, outputs, by_row, is_shared, example=example)


def assumed(module: nn.Module, inputs: list[Input]) -> Findings:
    """Findings without trial calls: the kinds are assumptions, the outputs unknown."""
    settled = [replace(each, kinds=assumed_kinds(each, module)) for each in inputs]
    return Findings(settled, is_tried=False)


def settled_by(
    copied: nn.Module,
    inputs: list[Input],
    others: str | None,
    device: str,
    arrays: dict[str, Array],
) -> Findings | None:
    """The findings of calls to a copy with a request's values; None if no call succeeds."""
    given = [each for each in inputs if each.name in arrays]
    trial = Trial(copied.to(device), copied, inputs, others, device, samples=arrays)
    if not trial.find(given):
        return None
    accepted = [replace(each, kinds=trial.accepted(each)) for each in given]
    kinds = {each.name: each.kinds for each in _compatible(trial, accepted)}
    known = [
        replace(each, kinds=kinds.get(each.name, each.kinds), floating=trial.floating)
        for each in inputs
    ]
    is_shared = time.monotonic() < trial.deadline and not trial.changes()
    apart = answered_apart(trial, given) if is_shared else None
    by_row = apart.by_row() if apart else frozenset()
    is_apart = apart is not None and apart.has_one_output() and not apart.differ(by_row)
    return Findings(known, None, by_row, is_shared and is_apart)


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
