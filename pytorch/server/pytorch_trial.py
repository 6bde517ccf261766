"""Call copies of a module to find the kinds of its inputs, and its outputs.

The module itself is not called, so that its caches and counters stay unchanged.
"""

import contextlib
import copy
import itertools
import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pytorch_calls import Forward
from pytorch_guesses import SIZES, Shape, assumed_kinds, kinds_to_try, shapes_to_try, with_rows
from pytorch_outputs import named
from pytorch_specs import Input, float_dtype, float_dtypes_to_try
from pytorch_states import sets_attributes, state_of
from torch import nn

from prepackaged.arrays import Array

logger = logging.getLogger(__name__)

MOST_SECONDS = 5.0  # the longest search for shapes and kinds, in seconds
VARIED = (2, 3, 5)  # values whose quotients, roots and logarithms are not whole numbers
# Factors for these values: large ones, with which products exceed 64 bits. The first makes sixth
# powers exceed them while floats stay finite, the second squares, as of identifiers.
FACTORS = (500, 10**9)


@dataclass
class Trial:
    """Trial calls to `module`, a copy, in the form `called`, for example compiled.

    `kinds` and `shapes` are those of the current call, by input. The inputs' values come from
    `samples` if given, else all are `value`; those of the input `varied` are `VARIED` times
    `factor`.
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
    factor: int = 1
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
        key = (self.value, self.varied, self.factor, self.floating, *each)
        if key not in self.results:
            self.results[key] = self.result_of({
                name: self.tensor(by_name[name], shape) for name, shape in shapes.items()
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
        creates tensors in the input's dtype, which truncates fractions, or computes numbers beyond
        64 bits. Booleans are included if they may be a mask of another shape than the trial's: as
        integers, they would be positions.
        """
        if time.monotonic() > self.deadline:
            return assumed_kinds(each, self.module)
        tried = kinds_to_try(each, self.samples.get(each.name))
        kinds = [kind for kind in each.kinds if kind in tried and self._of_kind(each, kind)]
        if {"i", "f"} <= {*kinds} and self._is_better_as_floats(each):
            kinds.remove("i")
        if kinds == ["i"] and "b" in each.kinds and self._may_be_mask(each):
            kinds = ["b", "i"]
        return "".join(kinds) or self.kinds[each.name]

    def add(self, each: Input) -> Input:
        """The optional input with the kinds that it accepts, tried together with needed ones."""
        kinds = assumed_kinds(each, self.module)
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

    def take_together(self, names: Collection[str], kind: str, free: Collection[str]) -> bool:
        """Whether these inputs may all have this kind, with the same result as for floats.

        The other inputs of `free` are floats.
        """
        on_cpu = self._on_cpu()
        return on_cpu is not None and all(
            replace(on_cpu, value=value)._are_alike(names, kind, free)
            for value in (self.value, VARIED[1] if kind == "i" else 1)
        )

    def changes(self) -> bool:
        """Whether repeated calls with the same values change the module, such as a counter.

        A cache that only the first call fills does not count.
        """
        states, results = [], []
        for _ in range(2):
            self.results.clear()
            results.append(self.call())
            states.append(state_of(self.module))
        return states[0] != states[1] or not _are_equal(*results) or sets_attributes(self.module)

    def result_of(self, tensors: dict[str, torch.Tensor]) -> Any:
        """The result of a call with these tensors, or its exception."""
        try:
            result = self.forward(self.called, tensors)
            dict(named(result))  # fails if the result contains other values
        except Exception as error:
            logger.debug("A call to a copy failed", exc_info=True)
            return error.with_traceback(None)
        return result

    def tensor(self, each: Input, shape: Shape) -> torch.Tensor:
        """An input's tensor of the current kind: a sample, or made-up values of this shape."""
        dtype = each.dtype_of(self.kinds[each.name], self.floating)
        if each.name == self.varied:
            values = torch.tensor(VARIED)[torch.arange(math.prod(shape)) % len(VARIED)]
            return (values * self.factor).reshape(shape).to(self.device, dtype)
        if each.name in self.samples:
            return torch.from_numpy(self.samples[each.name].copy()).to(self.device, dtype)
        return torch.full(shape, self.value, dtype=dtype, device=self.device)

    def _are_alike(self, names: Collection[str], kind: str, free: Collection[str]) -> bool:
        kinds = self.kinds
        self.kinds = kinds | dict.fromkeys(free, "f")
        floats = self.call()
        self.kinds |= dict.fromkeys(names, kind)
        result = self.call()
        self.kinds = kinds
        return floats is None or (result is not None and _are_equal(floats, result))

    def _of_kind(self, each: Input, kind: str) -> tuple[Any] | None:
        """The result of a call with another kind of an input's values; None if it fails."""
        before, self.kinds[each.name] = self.kinds[each.name], kind
        result = self.call()
        self.kinds[each.name] = before
        return None if result is None else (result,)

    def _may_be_mask(self, each: Input) -> bool:
        """Whether booleans may be a mask: a call succeeds, or fails only due to the mask's size.

        A layer that accepts no booleans, such as an embedding, does not raise `IndexError`.
        """
        return each.kinds == "bi" or bool(self._of_kind(each, "b")) or self.has_misfit

    def _is_better_as_floats(self, each: Input) -> bool:
        """Whether an input's integers give another result than the same values as floats."""
        if self._differs(each):
            return True
        on_cpu = self._on_cpu()
        largest = torch.finfo(self.floating).max
        large = [(self.value, each) for each in FACTORS if each * max(VARIED) <= largest]
        return on_cpu is not None and any(
            replace(on_cpu, varied=each.name, value=value, factor=factor)._differs(each)
            for value, factor in ((VARIED[1], 1), (self.value, 1), *large)
        )

    def _differs(self, each: Input) -> bool:
        whole, fraction = (self._of_kind(each, kind) for kind in "if")
        return bool(whole and fraction and not _are_equal(whole[0], fraction[0]))

    def _on_cpu(self) -> "Trial | None":
        """The trial on the CPU, because on a GPU an index out of range makes CUDA unusable."""
        if self.device == "cpu":
            return self
        with contextlib.suppress(Exception), torch.no_grad():
            module = copy.deepcopy(self.module).to("cpu")
            return replace(self, module=module, called=module, device="cpu", results={})
        return None

    def _is_taken(self) -> bool:
        dtypes = self.dtypes if "f" in self.kinds.values() else [self.usual]
        ways = itertools.product(dtypes, (1, 0))
        return any(self.call() is not None for self.floating, self.value in ways)

    def _shapes(self, each: Input, size: int) -> list[Shape]:
        sample = self.samples.get(each.name)
        return shapes_to_try(each, size, self.module) if sample is None else [sample.shape]


def _are_equal(one: Any, other: Any) -> bool:
    try:
        pairs = zip(named(one), named(other), strict=True)
        return all(np.allclose(a, b, equal_nan=True) for (_, a), (_, b) in pairs)
    except (ValueError, TypeError):
        return False
