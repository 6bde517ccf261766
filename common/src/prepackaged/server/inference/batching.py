"""Many requests in one call of predict, for models whose rows do not influence each other.

A model says that it may be batched; before that is believed, batched answers are compared
with one-by-one answers, and now and then again. Requests go together when their arrays stack:
same trailing shape, dtype and names. A batch that fails is repeated one by one, so that one
bad request spoils no other.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol

import numpy as np

logger = logging.getLogger(__name__)

CHECKS = 3  # batches that must agree before the model is trusted
CHECK_EVERY = 1000  # batches after which one is compared again


class Item(Protocol):
    """What a request brings along for the model."""

    @property
    def value(self) -> Any:
        """The payload."""

    @property
    def names(self) -> list[str]:
        """The names of its columns."""

    @property
    def meta(self) -> dict[str, Any]:
        """What else came with it."""

    @property
    def context(self) -> Any:
        """Whose it is."""


class Batcher:
    """Calls `predict` on items, together where it may; each outcome is a result or an exception.

    `most` is the largest number of requests in one call; `observe` is told the number of
    every call.
    """

    def __init__(
        self,
        predict: Callable[..., Any],
        *,
        is_offered: bool,
        most: int = 256,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._predict = predict
        self._observe = observe
        self.is_on = is_offered
        self.most = most
        self._differ_checks = CHECKS
        self._equal_checks = CHECKS
        self._batches_until_check = CHECK_EVERY

    def together(self) -> int:
        """How many items may come in one call."""
        return self.most if self.is_on else 1

    def __call__(self, items: Sequence[Item]) -> list[Any]:
        """A result or an exception for each item, in their order."""
        first, *others = self._groups(items)
        if not others:
            return self._group(items)
        outcomes: dict[int, Any] = {}
        for group in (first, *others):
            answers = self._group([items[index] for index in group])
            outcomes.update(zip(group, answers, strict=True))
        return [outcomes[index] for index in range(len(items))]

    def _groups(self, items: Sequence[Item]) -> list[list[int]]:
        groups: dict[Any, list[int]] = {}
        for index, item in enumerate(items):
            groups.setdefault(_stacks_with(item) or index, []).append(index)
        return list(groups.values())

    def _group(self, items: Sequence[Item]) -> list[Any]:
        if len(items) == 1 or not self.is_on:
            return [self._alone(item) for item in items]
        rows = np.concatenate([item.value for item in items])
        if self._is_to_be_checked(rows):
            return self._compared(items, rows)
        self._batches_until_check -= 1
        return self._together(items, rows) or [self._alone(item) for item in items]

    def _is_to_be_checked(self, rows: Any) -> bool:
        """Whether batches such as this one are not trusted yet, or for too long.

        Equal rows could influence each other unseen, so they prove nothing about others.
        """
        left = self._differ_checks
        if left and (rows == rows[0]).all():
            left = self._equal_checks
        return left > 0 or self._batches_until_check <= 0

    def _alone(self, item: Item) -> Any:
        self._observe(1)
        try:
            return self._predict(item.value, item.names, meta=item.meta, context=item.context)
        except BaseException as error:
            return error

    def _together(self, items: Sequence[Item], rows: Any) -> list[Any] | None:
        """The items' answers out of one call; None when there is none for each of them."""
        self._observe(len(items))
        try:
            result = self._predict(rows, items[0].names, meta={}, context=None)
        except Exception:
            return None  # one by one, each gets its own error or answer
        if not isinstance(result, np.ndarray) or result.ndim == 0 or len(result) != len(rows):
            self._turn_off(f"answered {_shape(result)} for {len(rows)} rows")
            return None
        ends = list(accumulate(len(item.value) for item in items))
        return [result[start:end] for start, end in pairwise((0, *ends))]

    def _compared(self, items: Sequence[Item], rows: Any) -> list[Any]:
        """One-by-one answers, which are the truth, after a look whether a batch gives the same."""
        alone = [self._alone(item) for item in items]
        if any(isinstance(answer, BaseException) for answer in alone):
            return alone
        together = self._together(items, rows)
        if together is None or not all(map(_same, alone, together)):
            self._turn_off("answers a batch otherwise than its rows one by one")
        if (rows == rows[0]).all():
            self._equal_checks = max(self._equal_checks - 1, 0)
        else:
            self._differ_checks = max(self._differ_checks - 1, 0)
        self._batches_until_check = CHECK_EVERY
        return alone

    def _turn_off(self, why: str) -> None:
        if self.is_on:
            logger.warning("Batching is off from now on: the model %s", why)
        self.is_on = False


def _stacks_with(item: Item) -> Any:
    """What two items must have in common to be stacked; None for what cannot be."""
    value = item.value
    if not isinstance(value, np.ndarray):
        return None
    shape, dtype = value.shape, value.dtype
    if not (shape and shape[0]) or dtype.kind == "O":
        return None
    return shape[1:], dtype, tuple(item.names)


def _same(alone: Any, stacked: Any) -> bool:
    if not isinstance(alone, np.ndarray) or alone.shape != stacked.shape:
        return False
    if alone.dtype != stacked.dtype:
        return False
    if alone.dtype.kind in "fc":
        return bool(np.allclose(alone, stacked, rtol=1e-4, atol=1e-6, equal_nan=True))
    return bool(np.array_equal(alone, stacked))


def _shape(result: Any) -> str:
    return (
        f"shape {list(result.shape)}" if isinstance(result, np.ndarray) else type(result).__name__
    )
