"""Many requests in one call to predict, for models whose rows do not influence each other.

A model declares that it may be batched. Before the first batches, and sometimes later, the separate
answers to two requests are compared with their answers in one call; the other requests wait for
another call. Similar requests may hide that rows influence each other, so a request is also
compared beside made-up rows.

Requests share a call if they have the same parameters and column names, and their arrays can be
stacked: the same names, dtypes and trailing shapes. Requests that cannot share a call are called
one after another for a few milliseconds and then wait again, so that others get their turn, and
nothing is computed for clients that have disconnected meanwhile.

If a batch fails, halving it finds the wrong request, so that the others get their answers.
"""

import logging
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from prepackaged.server.inference.comparing import (
    place_of_another,
    rows_are_equal,
    same,
    stack,
    strangers,
)
from prepackaged.server.inference.fault_search import FaultSearch
from prepackaged.server.inference.requests import InferenceRequest, row_count
from prepackaged.server.inference.work import AGAIN, TRIP_SECONDS
from prepackaged.tables import Table

logger = logging.getLogger(__name__)

CHECKS = 3  # the batches that must give equal answers before the model is trusted
CHECK_EVERY = 2000  # batches between later comparisons, of up to 13 calls: less than 1 %
CLEARLY_SLOWER = 1.5  # a batch may take this many times as long as its two requests one by one
MEASURABLE_SECONDS = 0.001  # shorter times than this are too inaccurate for the comparison
LARGE = 2**16  # bytes of a request; a batch of larger ones may take longer to copy than to answer
SINGLY_AFTER_COPY = 256  # the number of requests that then run alone


class Batcher:
    """Calls `predict` with requests, together if possible; an outcome is a result or an exception.

    `predict` takes value, names, meta and context. `most` is the largest number of requests in
    one call. `observe` gets the number of requests of every call.
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
        self._has_failed = False
        self.most = most
        self._differ_checks = CHECKS
        self._equal_checks = CHECKS
        self._batches_until_check = CHECK_EVERY
        self._search = FaultSearch()
        self._singly = 0  # how many of the next requests run alone
        self._alone_seconds = self._together_seconds = math.inf  # the least, for two requests

    def offer(self) -> None:
        """Let requests share calls from now on, unless a check has failed before."""
        self.is_on = not self._has_failed

    def together(self) -> int:
        """The most requests that may share a call."""
        return self.most if self.is_on and self._singly <= 0 else 1

    def at_once(self) -> int:
        """The same, while a request at fault is sought: fewer, until it is found."""
        return self._search.at_once(self.together())

    def __call__(self, requests: Sequence[InferenceRequest]) -> list[Any]:
        """A result, an exception or `AGAIN` for each request, in their order."""
        self._search.begin_call(requests)
        first, *others = self._groups(requests)
        if not others:
            return self._group(requests)
        outcomes: list[Any] = [AGAIN] * len(requests)
        until = time.perf_counter() + TRIP_SECONDS
        for group in (first, *others):
            answers = self._group([requests[index] for index in group])
            for index, answer in zip(group, answers, strict=True):
                outcomes[index] = answer
            if time.perf_counter() > until:
                break
        return outcomes

    def _groups(self, requests: Sequence[InferenceRequest]) -> list[list[int]]:
        groups: dict[Any, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(batch_key(request) or index, []).append(index)
        return list(groups.values())

    def _group(self, requests: Sequence[InferenceRequest]) -> list[Any]:
        if len(requests) == 1 or not self.is_on:
            return [self._alone(request) for request in requests]
        start = time.perf_counter()
        stacked = stack([request.value for request in requests])
        stacked_at = time.perf_counter()
        if self._must_check(stacked):
            return self._with_two_compared(requests)
        self._batches_until_check -= 1
        answers = self._together(requests, stacked)
        if size_of(stacked) > LARGE * len(requests):
            self._note_copy(stacked_at - start, time.perf_counter() - stacked_at)
        if answers is not None:
            self._search.note_answers(requests)
            return answers
        if self.is_on and not self._search.note_failure(requests):
            self._singly = len(requests)
        return [AGAIN] * len(requests)

    def _note_copy(self, copy_seconds: float, call_seconds: float) -> None:
        """Run large requests alone for a while if a batch of them costs more."""
        if copy_seconds > call_seconds:
            self._singly = SINGLY_AFTER_COPY

    def _must_check(self, stacked: Any) -> bool:
        """Whether batches such as this one are not trusted yet, or were checked too long ago.

        Identical rows cannot reveal that rows influence each other, so such batches count
        separately.
        """
        left = self._differ_checks
        if left and rows_are_equal(stacked):
            left = self._equal_checks
        return left > 0 or self._batches_until_check <= 0

    def _with_two_compared(self, requests: Sequence[InferenceRequest]) -> list[Any]:
        """The answers to two requests, with different rows if possible; the others wait again."""
        first, second = 0, place_of_another(requests)
        pair = [requests[first], requests[second]]
        outcomes: list[Any] = [AGAIN] * len(requests)
        outcomes[first], outcomes[second] = self._compared(pair, stack([p.value for p in pair]))
        return outcomes

    def _alone(self, request: InferenceRequest) -> Any:
        self._singly -= 1
        self._observe(1)
        meta = {**request.meta, **request.parameters} if request.parameters else request.meta
        outcome: Any
        try:
            outcome = self._predict(
                request.value, request.names, meta=meta, context=request.context
            )
        except BaseException as error:
            outcome = error
        self._search.note_alone(request, is_failure=isinstance(outcome, BaseException))
        return outcome

    def _together(self, requests: Sequence[InferenceRequest], stacked: Any) -> list[Any] | None:
        """The requests' answers from one call; None if it lacks the answer to any of them."""
        self._observe(len(requests))
        first, rows = requests[0], row_count(stacked)
        try:
            result = self._predict(
                stacked, first.names, meta=dict(first.parameters or {}), context=None
            )
        except BaseException:  # including SystemExit
            return None  # one by one, each gets its own error or answer
        if not has_rows(result, rows):
            self._turn_off(f"answered {_shape(result)} for {rows} rows")
            return None
        ends = list(accumulate(request.rows for request in requests))
        return [part(result, start, end) for start, end in pairwise((0, *ends))]

    def _compared(self, requests: Sequence[InferenceRequest], stacked: Any) -> list[Any]:
        """One-by-one answers, which are the truth, after a look whether a batch gives the same."""
        start = time.perf_counter()
        alone = [self._alone(request) for request in requests]
        middle = time.perf_counter()
        if any(isinstance(answer, BaseException) for answer in alone):
            return alone
        together = self._together(requests, stacked)
        self._note_seconds(middle - start, time.perf_counter() - middle)
        if together is None or not all(map(same, alone, together)):
            self._turn_off("answers a batch differently from its rows one by one")
        if rows_are_equal(stacked):
            self._equal_checks = max(self._equal_checks - 1, 0)
        else:
            self._differ_checks = max(self._differ_checks - 1, 0)
        self._batches_until_check = CHECK_EVERY
        if not self._differ_checks:
            self._check_further(requests[0], alone[0])
        return alone

    def _check_further(self, request: InferenceRequest, answer: Any) -> None:
        """Before the model is trusted: check whether a batch pays, whatever rows it contains."""
        if self._is_slower_together():
            self._turn_off("takes longer for a batch than for its rows one by one")
        for value in strangers(request.value):
            other = replace(request, value=value, context=None)
            alone = self._alone(other)
            if isinstance(alone, BaseException) or not self.is_on:
                continue  # the model does not take such rows
            together = self._together([request, other], stack([request.value, value]))
            if together is not None and not all(map(same, (answer, alone), together)):
                self._turn_off("answers a row differently in a batch with other rows")

    def _note_seconds(self, alone: float, together: float) -> None:
        self._alone_seconds = min(self._alone_seconds, alone)
        self._together_seconds = min(self._together_seconds, together)

    def _is_slower_together(self) -> bool:
        least = max(self._alone_seconds, MEASURABLE_SECONDS)
        return self._together_seconds > CLEARLY_SLOWER * least

    def _turn_off(self, why: str) -> None:
        if self.is_on:
            logger.warning("Batching is off from now on: the model %s", why)
        self.is_on, self._has_failed = False, True


def batch_key(request: InferenceRequest) -> Hashable:
    """A key, equal for requests that may share a call; None if a request cannot share one."""
    value = request.value
    parameters = tuple(sorted(request.parameters.items())) if request.parameters else ()
    if isinstance(value, np.ndarray):
        arrays = _array_key(value)
        return arrays and (arrays, tuple(request.names), parameters)
    if isinstance(value, Table):
        return value.batch_key, parameters
    if not isinstance(value, dict) or not value:
        return None
    if not all(isinstance(each, np.ndarray) for each in value.values()):
        return None
    keys = tuple((name, _array_key(value[name])) for name in sorted(value))
    has_one_length = len({each.shape[:1] for each in value.values()}) == 1
    return (keys, parameters) if has_one_length and all(key for _, key in keys) else None


def _array_key(array: Any) -> tuple[Any, ...] | None:
    shape, dtype = array.shape, array.dtype
    return None if dtype.kind == "O" or not (shape and shape[0]) else (shape[1:], dtype)


def size_of(value: Any) -> int:
    """The bytes of an array, or of several by name; 0 for a table, whose columns are small."""
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    return value.nbytes if isinstance(value, np.ndarray) else 0


def has_rows(result: Any, rows: int | None) -> bool:
    """Whether a result is an array, or arrays by name, with so many rows each."""
    if isinstance(result, dict):
        return bool(result) and all(has_rows(each, rows) for each in result.values())
    return isinstance(result, np.ndarray) and result.ndim > 0 and len(result) == rows


def part(result: Any, start: int, end: int) -> Any:
    """The rows from `start` to `end` of an array, or of each of several by name."""
    if isinstance(result, dict):
        return {name: array[start:end] for name, array in result.items()}
    return result[start:end]


def _shape(result: Any) -> str:
    return (
        f"shape {list(result.shape)}" if isinstance(result, np.ndarray) else type(result).__name__
    )
