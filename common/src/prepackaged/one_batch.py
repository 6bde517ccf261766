"""Find out whether the first axes of all inputs of a model are the same batch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from prepackaged.arrays import Array
from prepackaged.signature import TensorSpec

Run = Callable[[dict[str, Array]], Mapping[str, Array]]
ROWS = 2  # rows of a trial; with only one, a framework may take another code path


def blank(spec: TensorSpec, rows: int = 1) -> Array:
    """Zeros or empty texts for this input, with `rows` rows; other free axes have size 1."""
    sizes = [size or 1 for size in spec.shape or ()]
    shape = (rows, *sizes[1:]) if spec.is_batch else tuple(sizes)
    return np.full(shape, "", object) if spec.is_text else np.zeros(shape, spec.dtype)


def have_one_batch(run: Run, specs: Sequence[TensorSpec]) -> bool:
    """Whether the model requires the same number of rows of each input, and returns as many.

    The function runs the model on blanks, so `run` must have no lasting effect. Inputs such as
    nodes and edges, or a query and its items, may differ in number, so they are not one batch.
    """
    if not all(spec.is_batch for spec in specs):
        return False
    shapes = _shapes(run, {spec.name: blank(spec, ROWS) for spec in specs})
    if not shapes or any(shape[:1] != (ROWS,) for shape in shapes):
        return False
    return not any(_takes_more_rows(run, specs, spec.name) for spec in specs)


def _takes_more_rows(run: Run, specs: Sequence[TensorSpec], name: str) -> bool:
    """Whether the model also accepts one more row of this input alone."""
    return bool(
        _shapes(run, {each.name: blank(each, ROWS + (each.name == name)) for each in specs})
    )


def _shapes(run: Run, arrays: dict[str, Array]) -> list[tuple[int, ...]]:
    """The shapes of the outputs; empty if the model refuses the arrays."""
    try:
        return [array.shape for array in run(arrays).values()]
    except Exception:
        return []
