"""Example values for a graph's inputs: the categories that its encoders know."""

from collections.abc import Iterator, Sequence
from typing import Any

from prepackaged import TensorSpec

Categories = Sequence[str | int]


def known_values(specs: Sequence[TensorSpec], categories: Categories) -> Iterator[dict[str, Any]]:
    """Values by input, with a category for each column.

    Converters write the encoders in the order of the columns, so the categories are used in this
    order, by type. Numbers may also be categories of floats.
    """
    texts = [each for each in categories if isinstance(each, str)]
    numbers = [each for each in categories if isinstance(each, int)]
    by_kind: dict[str, Categories] = {"OSU": texts, "iu": numbers}
    for kinds in (by_kind, {**by_kind, "f": numbers}):
        left = {kind: list(some) for kind, some in kinds.items()}
        values = {spec.name: _taken(spec, left) for spec in specs}
        if any(values.values()):
            yield {name: each for name, each in values.items() if each}


def _taken(spec: TensorSpec, left: dict[str, list[Any]]) -> list[Any]:
    """A category for each column of the input, removed from those that are left."""
    kind = "f" if spec.dtype is None else spec.dtype.kind
    values = next((each for kinds, each in left.items() if kind in kinds), [])
    columns = ((spec.shape or ())[1:] or (1,))[-1] or 1
    if len(values) < columns:
        return []
    taken, values[:columns] = values[:columns], []
    return taken
