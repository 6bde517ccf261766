"""Find a module's outputs by trial calls to a copy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytorch_guesses import ROWS, SIZES, shapes_to_try, with_rows
from pytorch_independence import has_rows
from pytorch_outputs import lengths, named, spec_of
from pytorch_specs import Input

from prepackaged import TensorSpec
from prepackaged.arrays import Array

if TYPE_CHECKING:
    from pytorch_trial import Trial


def outputs_of(
    trial: "Trial", needed: Sequence[Input]
) -> tuple[tuple[TensorSpec, ...] | None, frozenset[str]]:
    """Return the outputs (None if unknown), and the names of those that are lists by row.

    They are found by calls with several rows and with one row, in up to two sizes. If the shapes of
    the inputs are unknown, so are those of the outputs, unless all of these are lists by row.
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
        one = trial.call(lambda each, shape: with_rows(1, shape) if has_rows(each) else shape)
        by_row |= _by_row(several, one)
        answers += [dict(named(each, by_row)) for each in (several, one) if each is not None]
    is_by_row = all(array.dtype.kind == "O" for each in answers for array in each.values())
    if not answers or not (is_known or is_by_row):
        return None, by_row
    names = dict.fromkeys(name for each in answers for name in each)
    specs = [spec_of(name, [each[name] for each in answers if name in each]) for name in names]
    return tuple(specs), by_row


def _by_row(several: Any, one: Any) -> frozenset[str]:
    """The names of lists that, in both calls, have as many entries as the input had rows."""
    alone = dict(lengths(one))
    return frozenset(
        name for name, count in lengths(several) if count == ROWS and alone.get(name) == 1
    )
