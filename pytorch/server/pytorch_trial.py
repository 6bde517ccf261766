"""Call copies of a module to find the kinds of its inputs, and its outputs.

The module itself is not called, so that its caches and counters stay unchanged.
"""

import contextlib
import itertools
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pytorch_calls import Forward
from pytorch_guesses import ROWS, SIZES, Shape, kinds_to_try, shapes_to_try
from pytorch_outputs import lengths, named, spec_of
from pytorch_specs import Input, dtype_of, float_dtype
from torch import nn

from prepackaged import TensorSpec
from prepackaged.arrays import Array

logger = logging.getLogger(__name__)

MOST_SECONDS = 5.0  # of searching for shapes and kinds


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


@contextlib.contextmanager
def undisturbed(device: str) -> Iterator[None]:
    """Restore the state of random numbers after this block."""
    python, numpy = random.getstate(), np.random.get_state()
    gpus = [torch.device(device)] if device.startswith("cuda") else []
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@dataclass
class Trial:
    """Trial calls of `module`, a copy, in the form `called`, such as compiled.

    `kinds` and `shapes` are those of the current call, by input. The inputs' values are from
    `samples` if given, else they are all `value`.
    """

    module: nn.Module
    called: nn.Module
    inputs: list[Input]
    others: str | None
    device: str
    kinds: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    value: int = 1
    samples: dict[str, Array] = field(default_factory=dict)
    results: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.floating = float_dtype(self.module)
        self.forward = Forward(self.module, self.inputs, self.others)
        self.deadline = time.monotonic() + MOST_SECONDS

    def call(self, rows: Callable[[Input, Shape], Shape] = lambda _, shape: shape) -> Any:
        """Call with the current shapes and kinds; None if the call fails.

        `rows` may change the shape of each input.
        """
        by_name = {each.name: each for each in self.inputs}
        shapes = {name: rows(by_name[name], shape) for name, shape in self.shapes.items()}
        key = (self.value, *((name, shape, self.kinds[name]) for name, shape in shapes.items()))
        if key not in self.results:
            self.results[key] = self._called({
                name: self._tensor(by_name[name], shape) for name, shape in shapes.items()
            })  # fmt: skip
        return self.results[key]

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
        creates tensors in the input's dtype, which truncates fractions.
        """
        if time.monotonic() > self.deadline:
            return _assumed(each, self.module)
        before = self.kinds[each.name]
        results = dict.fromkeys("bif")
        for kind in kinds_to_try(each, self.samples.get(each.name)):
            self.kinds[each.name] = kind
            results[kind] = self.call()
        self.kinds[each.name] = before
        kinds = [kind for kind in each.kinds if results[kind] is not None]
        if {"i", "f"} <= {*kinds} and not _are_equal(results["i"], results["f"]):
            kinds.remove("i")
        return "".join(kinds) or before

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
        return replace(each, kinds=kinds)

    def is_tied(self, each: Input) -> bool:
        """Whether an input needs as many rows as the others."""
        return self.call(lambda one, shape: _of(3, shape) if one is each else shape) is None

    def _called(self, tensors: dict[str, torch.Tensor]) -> Any:
        try:
            result = self.forward(self.called, tensors)
            dict(named(result))  # fails if the result contains other values
        except Exception:
            logger.debug("A call of a copy failed", exc_info=True)
            return None
        return result

    def _is_taken(self) -> bool:
        return any(self.call() is not None for self.value in (1, 0))

    def _shapes(self, each: Input, size: int) -> list[Shape]:
        sample = self.samples.get(each.name)
        return shapes_to_try(each, size, self.module) if sample is None else [sample.shape]

    def _tensor(self, each: Input, shape: Shape) -> Any:
        dtype = each.dtype or dtype_of(self.kinds[each.name], self.floating)
        if each.name in self.samples:
            return torch.from_numpy(self.samples[each.name].copy()).to(self.device, dtype)
        return torch.full(shape, self.value, dtype=dtype, device=self.device)


def tried(
    copied: nn.Module, called: nn.Module, inputs: list[Input], others: str | None, device: str
) -> Findings:
    """Make trial calls of the copy `copied`, which should then be discarded.

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
    optional = [trial.add(each) for each in inputs if each not in needed]
    found = {each.name: each for each in (*_tied(trial, settled), *optional)}
    return Findings([found[each.name] for each in inputs], *_outputs(trial, needed))


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
    return [replace(each, kinds=kinds.get(each.name, each.kinds)) for each in inputs]


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


def _outputs(
    trial: Trial, needed: Sequence[Input]
) -> tuple[tuple[TensorSpec, ...] | None, frozenset[str]]:
    """The outputs and those by row, from calls with several rows and with one, in up to two sizes.

    The outputs are None if they are unknown.
    """
    by_row: frozenset[str] = frozenset()
    answers: list[dict[str, Array]] = []
    is_known = all(each.shape is not None for each in needed)
    has_free_sizes = is_known and any(None in (each.shape or ())[1:] for each in needed)
    for size in SIZES if has_free_sizes else SIZES[:1]:
        if has_free_sizes:
            trial.shapes = {
                each.name: shapes_to_try(each, size, trial.module)[0] for each in needed
            }
        several = trial.call() if len(answers) <= ROWS else None
        if several is None:
            continue
        one = trial.call(lambda each, shape: _of(1, shape) if _has_rows(each) else shape)
        by_row |= _by_row(several, one)
        answers += [dict(named(each, by_row)) for each in (several, one) if each is not None]
    if not answers or not is_known:
        return None, by_row
    names = dict.fromkeys(name for each in answers for name in each)
    specs = [spec_of(name, [each[name] for each in answers if name in each]) for name in names]
    return tuple(specs), by_row


def _by_row(several: Any, one: Any) -> frozenset[str]:
    """The names of lists that have as many entries as the input had rows, in both calls."""
    alone = dict(lengths(one))
    return frozenset(
        name for name, count in lengths(several) if count == ROWS and alone.get(name) == 1
    )


def _has_rows(each: Input) -> bool:
    return each.shape is None or each.shape[:1] == (None,)


def _of(rows: int, shape: Shape) -> Shape:
    return (rows, *shape[1:]) if shape else shape


def _are_equal(one: Any, other: Any) -> bool:
    try:
        pairs = zip(named(one), named(other), strict=True)
        return all(np.allclose(a, b, equal_nan=True) for (_, a), (_, b) in pairs)
    except (ValueError, TypeError):
        return False
