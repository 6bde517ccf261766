"""Call copies of a module to find the kinds of its inputs, and its outputs.

The module itself is not called, so that its caches and counters stay unchanged.
"""

import contextlib
import copy
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pytorch_calls import Forward
from pytorch_guesses import SIZES, Shape, kinds_to_try, shapes_to_try, with_rows
from pytorch_outputs import named
from pytorch_specs import Input, float_dtype, float_dtypes_to_try
from pytorch_trial_outputs import outputs_of
from torch import nn

from prepackaged import TensorSpec
from prepackaged.arrays import Array

logger = logging.getLogger(__name__)

MOST_SECONDS = 5.0  # of searching for shapes and kinds
VARIED = (2, 3, 5)  # values whose quotients, roots and logarithms are no whole numbers


@dataclass(frozen=True)
class Findings:
    """The results of trial calls.

    `inputs` have the kinds that the module accepts. `outputs` is None if they are unknown.
    `by_row` are the outputs that are lists with an entry for each row. Unless `is_settled`, the
    kinds are assumptions.
    """

    inputs: list[Input]
    outputs: tuple[TensorSpec, ...] | None = None
    by_row: frozenset[str] = frozenset()
    is_settled: bool = True


@dataclass
class Trial:
    """Trial calls to `module`, a copy, in the form `called`, such as compiled.

    `kinds` and `shapes` are those of the current call, by input. The inputs' values are from
    `samples` if given, else they are all `value`; those of the input `varied` are `VARIED`.
    `results` are those of the calls so far, or their errors; `has_misfit` is whether the last call
    failed because of an index.
    """

    module: nn.Module
    called: nn.Module
    inputs: list[Input]
    others: str | None
    device: str
    kinds: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    value: int = 1
    varied: str | None = None
    samples: dict[str, Array] = field(default_factory=dict)
    results: dict[Any, Any] = field(default_factory=dict)
    has_misfit: bool = False
    floating: Any = None  # the dtype of floats, by default the module's

    def __post_init__(self) -> None:
        self.usual, self.dtypes = float_dtype(self.module), float_dtypes_to_try(self.module)
        self.floating = self.floating or self.usual
        self.forward = Forward(self.module, self.inputs, self.others)
        self.deadline = time.monotonic() + MOST_SECONDS

    def call(self, rows: Callable[[Input, Shape], Shape] = lambda _, shape: shape) -> Any:
        """Call with the current shapes and kinds; None if the call fails.

        `rows` may change the shape of each input.
        """
        by_name = {each.name: each for each in self.inputs}
        shapes = {name: rows(by_name[name], shape) for name, shape in self.shapes.items()}
        each = ((name, shape, self.kinds[name]) for name, shape in shapes.items())
        key = (self.value, self.varied, self.floating, *each)
        if key not in self.results:
            self.results[key] = self._called({
                name: self._tensor(by_name[name], shape) for name, shape in shapes.items()
            })  # fmt: skip
        result = self.results[key]
        self.has_misfit = isinstance(result, IndexError)
        return None if isinstance(result, Exception) else result

    def find(self, needed: Sequence[Input]) -> bool:
        """Find shapes, kinds and a value of the needed inputs with which a call succeeds.

        Returns False if there are none, or none within `MOST_SECONDS`.
        """
        for size in SIZES:
            shapes = [self._shapes(each, size) for each in needed]
            kinds = [kinds_to_try(each, self.samples.get(each.name)) for each in needed]
            for some, others in itertools.product(
                itertools.product(*shapes), itertools.product(*kinds)
            ):
                names = [each.name for each in needed]
                self.shapes = dict(zip(names, some, strict=True))
                self.kinds = dict(zip(names, others, strict=True))
                if self._is_taken():
                    return True
                if time.monotonic() > self.deadline:
                    return False
        return False

    def accepted(self, each: Input) -> str:
        """The kinds that an input accepts, with the other inputs unchanged.

        Integers are excluded if the same values as floats give another result: then the module
        creates tensors in the input's dtype, which truncates fractions. Booleans are included if
        they may be a mask of another shape than the trial's: as integers, they would be positions.
        """
        if time.monotonic() > self.deadline:
            return _assumed(each, self.module)
        tried = kinds_to_try(each, self.samples.get(each.name))
        kinds = [kind for kind in each.kinds if kind in tried and self._of_kind(each, kind)]
        if {"i", "f"} <= {*kinds} and self._truncates(each):
            kinds.remove("i")
        if kinds == ["i"] and "b" in each.kinds and self._may_be_mask(each):
            kinds = ["b", "i"]
        return "".join(kinds) or self.kinds[each.name]

    def add(self, each: Input) -> Input:
        """The optional input with the kinds that it accepts, tried together with needed ones."""
        kinds = _assumed(each, self.module)
        shapes = (*self.shapes.values(), *self._shapes(each, SIZES[0]))
        for kind, shape in itertools.product(kinds_to_try(each, None), shapes):
            self.shapes[each.name], self.kinds[each.name] = shape, kind
            if self.call() is not None:
                kinds = self.accepted(each)
                break
            if time.monotonic() > self.deadline:
                break
        self.shapes.pop(each.name, None)
        return replace(each, kinds=kinds, floating=self.floating)

    def is_tied(self, each: Input) -> bool:
        """Whether an input needs as many rows as the others."""
        return self.call(lambda one, shape: with_rows(3, shape) if one is each else shape) is None

    def _of_kind(self, each: Input, kind: str) -> tuple[Any] | None:
        """The result of a call with another kind of an input's values; None if it fails."""
        before, self.kinds[each.name] = self.kinds[each.name], kind
        result = self.call()
        self.kinds[each.name] = before
        return None if result is None else (result,)

    def _may_be_mask(self, each: Input) -> bool:
        """Whether booleans may select entries: the input is an index, and its size alone is wrong.

        A layer that takes no booleans, such as an embedding, raises no `IndexError` for them.
        """
        return each.kinds == "bi" or bool(self._of_kind(each, "b")) or self.has_misfit

    def _truncates(self, each: Input) -> bool:
        """Whether an input's integers give another result than the same values as floats."""
        if self._differs(each):
            return True
        on_cpu = self._on_cpu()
        return on_cpu is not None and any(
            replace(on_cpu, varied=each.name, value=value)._differs(each)
            for value in (VARIED[1], self.value)
        )

    def _differs(self, each: Input) -> bool:
        whole, fraction = (self._of_kind(each, kind) for kind in "if")
        return bool(whole and fraction and not _are_equal(whole[0], fraction[0]))

    def _on_cpu(self) -> "Trial | None":
        """The trial on the CPU: on a GPU, an index out of range would end the process's work."""
        if self.device == "cpu":
            return self
        with contextlib.suppress(Exception), torch.no_grad():
            module = copy.deepcopy(self.module).to("cpu")
            return replace(self, module=module, called=module, device="cpu", results={})
        return None

    def _called(self, tensors: dict[str, torch.Tensor]) -> Any:
        try:
            result = self.forward(self.called, tensors)
            dict(named(result))  # fails if the result contains other values
        except Exception as error:
            logger.debug("A call to a copy failed", exc_info=True)
            return error.with_traceback(None)
        return result

    def _is_taken(self) -> bool:
        dtypes = self.dtypes if "f" in self.kinds.values() else [self.usual]
        ways = itertools.product(dtypes, (1, 0))
        return any(self.call() is not None for self.floating, self.value in ways)

    def _shapes(self, each: Input, size: int) -> list[Shape]:
        sample = self.samples.get(each.name)
        return shapes_to_try(each, size, self.module) if sample is None else [sample.shape]

    def _tensor(self, each: Input, shape: Shape) -> Any:
        dtype = each.dtype_of(self.kinds[each.name], self.floating)
        if each.name == self.varied:
            values = torch.tensor(VARIED)[torch.arange(math.prod(shape)) % len(VARIED)]
            return values.reshape(shape).to(self.device, dtype)
        if each.name in self.samples:
            return torch.from_numpy(self.samples[each.name].copy()).to(self.device, dtype)
        return torch.full(shape, self.value, dtype=dtype, device=self.device)


def tried(
    copied: nn.Module, called: nn.Module, inputs: list[Input], others: str | None, device: str
) -> Findings:
    """Make trial calls to the copy `copied`, which should then be discarded.

    `called` is the copy in the form that is called, such as compiled.
    """
    needed = [each for each in inputs if not each.is_optional] or inputs[:1]
    trial = Trial(copied.to(device), called, inputs, others, device)
    if not needed or not trial.find(needed):
        return assumed(copied, inputs)
    settled = [
        replace(each, kinds=trial.accepted(each)) if len(each.kinds) > 1 and not each.dtype
        else each for each in needed
    ]  # fmt: skip
    settled = [replace(each, floating=trial.floating) for each in settled]
    optional = [trial.add(each) for each in inputs if each not in needed]
    found = {each.name: each for each in (*_tied(trial, settled), *optional)}
    return Findings([found[each.name] for each in inputs], *outputs_of(trial, needed))


def assumed(module: nn.Module, inputs: list[Input]) -> Findings:
    """Findings without trial calls: the kinds are assumptions, the outputs unknown."""
    settled = [replace(each, kinds=_assumed(each, module)) for each in inputs]
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
    kinds = {each.name: trial.accepted(each) for each in given}
    return [
        replace(each, kinds=kinds.get(each.name, each.kinds), floating=trial.floating)
        for each in inputs
    ]


def _assumed(each: Input, module: nn.Module) -> str:
    """The assumed kinds: no integers if the input accepts floats and there are no embeddings."""
    names = (str(getattr(one, "original_name", type(one).__name__)) for one in module.modules())
    takes_tokens = any("Embedding" in name for name in names)
    return each.kinds if takes_tokens or "f" not in each.kinds else each.kinds.replace("i", "")


def _tied(trial: Trial, inputs: Iterable[Input]) -> Iterator[Input]:
    """The inputs; an input whose number of rows may differ gets its own first axis."""
    inputs = list(inputs)
    free = [each for each in inputs if each.shape and each.shape[0] is None and not each.axes]
    for each in inputs:
        one = next(old for old in trial.inputs if old.name == each.name)
        if each in free and len(free) > 1 and not trial.is_tied(one):
            shape = each.shape or ()
            yield replace(each, axes=(f"rows of {each.name}", *[None] * (len(shape) - 1)))
        else:
            yield each


def _are_equal(one: Any, other: Any) -> bool:
    try:
        pairs = zip(named(one), named(other), strict=True)
        return all(np.allclose(a, b, equal_nan=True) for (_, a), (_, b) in pairs)
    except (ValueError, TypeError):
        return False
