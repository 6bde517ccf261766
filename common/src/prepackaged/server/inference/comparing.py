"""Compare the answers to rows alone and in a batch, and choose the rows for that."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.tables import Table


def place_of_another(requests: Sequence[InferenceRequest]) -> int:
    """The place of the first request whose rows differ from the first one's; 1 if none differs."""
    for place in range(1, len(requests)):
        if not rows_are_equal(stack([requests[0].value, requests[place].value])):
            return place
    return 1


def stack(values: Sequence[Any]) -> Any:
    """Arrays, tables or arrays by name as one: the rows of the first, then of the second, ..."""
    if isinstance(values[0], Table):
        return values[0].stacked(values[1:])
    if isinstance(values[0], dict):
        return {name: np.concatenate([each[name] for each in values]) for name in values[0]}
    return np.concatenate(values)


def rows_are_equal(value: Any) -> bool:
    """Whether all rows of an array, or of each of several arrays, are identical."""
    if isinstance(value, Table):
        value = dict(enumerate(value.arrays))
    arrays = value.values() if isinstance(value, dict) else (value,)
    return all(bool((array == array[0]).all()) for array in arrays)


def same(alone: Any, stacked: Any) -> bool:
    """Whether two results are equal, floats up to rounding."""
    if isinstance(alone, dict) and isinstance(stacked, dict):
        return alone.keys() == stacked.keys() and all(
            same(alone[name], stacked[name]) for name in alone
        )
    if not isinstance(alone, np.ndarray) or not isinstance(stacked, np.ndarray):
        return False
    if alone.shape != stacked.shape or alone.dtype != stacked.dtype:
        return False
    if alone.dtype.kind in "fc":
        return bool(np.allclose(alone, stacked, rtol=1e-4, atol=1e-6, equal_nan=True))
    return bool(np.array_equal(alone, stacked))


def strangers(value: Any) -> Iterator[Any]:
    """Copies of rows whose numbers are missing, smaller, larger, negative, or replaced by zero.

    Such rows reveal a model that fills gaps with means, scales by the largest value, or cuts the
    padding that all rows share: these results depend on the batch, except if all its rows are
    alike.
    """
    for change in (_missing, _swapped, _halved, _enlarged, _negated):
        copy = _changed(value, change)
        if copy is not None:
            yield copy


def _changed(value: Any, change: Callable[[Array], Array]) -> Any:
    """A copy of a request's value with other numbers; None if it has no numbers to change."""
    if isinstance(value, Table):
        arrays = [*map(change, value.arrays)]
        is_other = any(map(_differ, value.arrays, arrays))
        return Table(value.facts, tuple(arrays)) if is_other else None
    if isinstance(value, dict):
        copies = {name: change(array) for name, array in value.items()}
        return copies if any(map(_differ, value.values(), copies.values())) else None
    copy = change(value)
    return copy if _differ(value, copy) else None


def _differ(array: Array, copy: Array) -> bool:
    return copy is not array and not np.array_equal(array, copy)


def _missing(array: Array) -> Array:
    return np.full_like(array, np.nan) if array.dtype.kind == "f" else array


def _swapped(array: Array) -> Array:
    """The largest number for zeros, and zero for all others."""
    if array.dtype.kind not in "iuf" or not array.size:
        return array
    return np.where(array == 0, array.max(), 0).astype(array.dtype)


def _enlarged(array: Array) -> Array:
    return array * array.dtype.type(1000) if array.dtype.kind == "f" else array


def _negated(array: Array) -> Array:
    return -array if array.dtype.kind in "if" else array


def _halved(array: Array) -> Array:
    if array.dtype.kind == "f":
        return array / 2
    return array // 2 if array.dtype.kind in "iu" else array
