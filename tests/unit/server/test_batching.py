from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepackaged.server.inference.batching import CHECK_EVERY, CHECKS, Batcher


@dataclass
class Item:
    """A request's value and names."""

    value: Any
    names: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    context: Any = None


def row(*values: float) -> Item:
    """A request of one row."""
    return Item(np.array([values]))


class Counting:
    """A predict that notes how many rows each call had."""

    def __init__(self, function: Callable[[Any], Any] = lambda rows: rows * 2) -> None:
        self.function = function
        self.calls: list[int] = []

    def __call__(self, value: Any, names: list[str], meta: Any, context: Any) -> Any:
        self.calls.append(len(value))
        return self.function(value)


def trusted(predict: Any) -> Batcher:
    """A batcher that has seen as many good batches as it wants."""
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS):
        batcher([row(1.0), row(2.0)])
    predict.calls.clear()
    return batcher


def values(outcomes: list[Any]) -> list[Any]:
    """Arrays as lists, exceptions as they are."""
    return [each.tolist() if isinstance(each, np.ndarray) else each for each in outcomes]


def test_a_model_that_does_not_offer_it_is_never_batched() -> None:
    """Each request is a call of its own."""
    predict = Counting()
    batcher = Batcher(predict, is_offered=False)

    assert batcher.together() == 1
    assert values(batcher([row(1.0), row(2.0)])) == [[[2.0]], [[4.0]]]
    assert predict.calls == [1, 1]


def test_the_first_batches_are_compared_before_the_model_is_trusted() -> None:
    """One by one and together; from then on together alone."""
    predict = Counting()
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS + 1):
        batcher([row(1.0), row(2.0)])

    assert predict.calls == [1, 1, 2] * CHECKS + [2]


def test_a_trusted_model_is_compared_again_now_and_then() -> None:
    """Trust is not for ever."""
    predict = Counting()
    batcher = trusted(predict)
    for _ in range(CHECK_EVERY + 1):
        batcher([row(1.0), row(2.0)])

    assert predict.calls[-3:] == [1, 1, 2]
    assert predict.calls[:-3] == [2] * CHECK_EVERY


def test_a_model_whose_rows_influence_each_other_is_not_batched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one-by-one answers are given, and batching ends with a line in the log."""
    batcher = Batcher(Counting(lambda rows: rows - rows.mean(axis=0)), is_offered=True)

    assert values(batcher([row(1.0), row(3.0)])) == [[[0.0]], [[0.0]]]
    assert not batcher.is_on
    assert "Batching is off" in caplog.text


def test_equal_rows_prove_nothing() -> None:
    """Rows that are the same cannot be seen to influence each other."""
    predict = Counting(lambda rows: rows - rows.mean(axis=0))
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS + 1):
        batcher([row(1.0), row(1.0)])
    batcher([row(1.0), row(3.0)])

    assert not batcher.is_on


def test_a_model_that_answers_fewer_rows_is_not_batched() -> None:
    """There is no telling whose answer is missing."""
    predict = Counting(lambda rows: rows)
    batcher = trusted(predict)
    predict.function = lambda rows: rows[:1]

    assert values(batcher([row(1.0), row(2.0)])) == [[[1.0]], [[2.0]]]
    assert not batcher.is_on


def refuse_negative(rows: Any) -> Any:
    """A predict that fails on negative numbers."""
    if (rows < 0).any():
        raise ValueError("negative")
    return rows


def test_one_bad_request_spoils_no_other() -> None:
    """A batch that fails is repeated one by one."""
    batcher = trusted(Counting(refuse_negative))

    good, bad, last = batcher([row(1.0), row(-1.0), row(3.0)])

    assert values([good, last]) == [[[1.0]], [[3.0]]]
    assert isinstance(bad, ValueError)
    assert batcher.is_on


def test_what_does_not_stack_stays_apart() -> None:
    """Other names, another dtype, another width, text, and no array at all."""
    predict = Counting(lambda value: value)
    batcher = trusted(predict)
    items = [
        row(1.0),
        Item(np.array([[2.0]]), ["a"]),
        Item(np.array([[3]])),
        row(4.0, 5.0),
        Item("text"),
        row(6.0),
    ]

    outcomes = batcher(items)

    assert values(outcomes) == [[[1.0]], [[2.0]], [[3]], [[4.0, 5.0]], "text", [[6.0]]]
    assert sorted(predict.calls) == [1, 1, 1, 2, 4]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_answers_are_split_as_the_requests_were(sizes: list[int]) -> None:
    """Requests of several rows get all of their rows back, in order."""
    batcher = trusted(Counting())
    start = np.cumsum([0, *sizes])
    items = [
        Item(np.arange(first, first + size, dtype=float).reshape(-1, 1))
        for first, size in zip(start, sizes, strict=False)
    ]

    outcomes = batcher(items)

    assert values(outcomes) == [(item.value * 2).tolist() for item in items]
