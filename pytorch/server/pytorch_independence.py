"""Find out by calls to a copy whether the rows of a request influence each other."""

import math
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from pytorch_outputs import lengths, named
from pytorch_specs import Input
from torch import Tensor

if TYPE_CHECKING:
    from pytorch_trial import Trial

Tensors = dict[str, Tensor]
# Answers of rows in one call may differ by rounding, relative to the largest number of an output.
TOLERANCE = 1e-3


class Apart(NamedTuple):
    """The results of a call with two different rows, and of a call with each of them alone."""

    together: Any
    first: Any
    second: Any

    def by_row(self) -> frozenset[str]:
        """The names of lists that have an entry for each row."""
        alone = dict(lengths(self.first))
        return frozenset(
            name for name, count in lengths(self.together) if count == 2 and alone.get(name) == 1
        )

    def has_one_output(self) -> bool:
        """Whether the module returns a single tensor, as requests that share a call need."""
        return len(dict(named(self.together))) == 1

    def differ(self, by_row: Collection[str]) -> bool:
        """Whether a row beside another one is answered differently from the row alone."""
        together, *rows = (dict(named(each, by_row)) for each in self)
        return any(
            len(alone[name]) == 1 and not _is_close(array[place], alone[name][0])
            for name, array in together.items()
            if array.ndim and len(array) == len(rows) and array.dtype.kind != "O"
            for place, alone in enumerate(rows)
            if name in alone and alone[name].ndim
        )


def answered_apart(trial: "Trial", inputs: Sequence[Input]) -> Apart | None:
    """Call the copy with two rows, and with each of them; None if a call fails or time is up.

    The rows are those of the trial's samples; without samples, they are made up.
    """
    if not any(map(has_rows, inputs)) or time.monotonic() > trial.deadline:
        return None
    first = dict(_tensors(trial, inputs))
    second = {each.name: _other(each, first[each.name]) for each in inputs}
    together = {
        each.name: torch.cat([first[each.name], second[each.name]])
        if has_rows(each)
        else first[each.name]
        for each in inputs
    }
    results = [trial.result_of(each) for each in (together, first, second)]
    return None if any(isinstance(each, Exception) for each in results) else Apart(*results)


def has_rows(each: Input) -> bool:
    """Whether the input's first axis is the batch, as far as its shape is known."""
    return not each.is_plain and (each.shape is None or each.shape[:1] == (None,))


def _tensors(trial: "Trial", inputs: Iterable[Input]) -> Iterator[tuple[str, Tensor]]:
    for each in inputs:
        tensor = trial.tensor(each, trial.shapes[each.name])
        is_made_up = each.name not in trial.samples and tensor.is_floating_point()
        tensor = _varied(tensor) if is_made_up else tensor
        yield each.name, tensor[:1] if has_rows(each) and tensor.ndim else tensor


def _varied(tensor: Tensor) -> Tensor:
    """Small numbers of this shape, of which neighbours differ."""
    count = math.prod(tensor.shape)
    numbers = torch.arange(1, count + 1, device=tensor.device) % 7 / 7
    return numbers.reshape(tensor.shape).to(tensor.dtype)


def _other(each: Input, row: Tensor) -> Tensor:
    """Another row: the same values at other places, and larger ones if they are floats."""
    if not has_rows(each):
        return row
    moved = row.flatten().roll(1).reshape(row.shape)
    return moved * 2 if row.is_floating_point() else moved


def _is_close(one: Any, other: Any) -> bool:
    if np.shape(one) != np.shape(other):
        return False
    finite = np.abs(np.asarray(other)[np.isfinite(other)])
    most = float(finite.max()) if finite.size else 0.0
    return bool(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * most, equal_nan=True))
