import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepackaged.server.inference.batching import (
    CHECK_EVERY,
    CHECKS,
    LARGE,
    SINGLY_AFTER_COPY,
    Batcher,
    batch_key,
)
from prepackaged.server.inference.comparing import stack
from prepackaged.server.inference.fault_search import MOST_SOUGHT
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.inference.work import AGAIN, TRIP_SECONDS

STRANGERS = [1, 2] * 5  # calls for a made-up row alone and beside a real one


def asked(value: Any, names: Sequence[str] = (), **parameters: Any) -> InferenceRequest:
    """Build a prediction request."""
    return InferenceRequest(value, list(names), parameters=parameters or None)


def row(*values: float) -> InferenceRequest:
    """Build a request with a single row."""
    return asked(np.array([values]))


class Counting:
    """A predict function that records the number of rows of each call."""

    def __init__(self, function: Callable[[Any], Any] = lambda rows: rows * 2) -> None:
        self.function = function
        self.calls: list[int] = []

    def __call__(self, value: Any, names: list[str], meta: Any, context: Any) -> Any:
        self.calls.append(len(value))
        return self.function(value)


class Clock:
    """Replaces the batcher's clock; it stands still until time is passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        name = "prepackaged.server.inference.batching.time.perf_counter"
        monkeypatch.setattr(name, lambda: self.now)

    def pass_by(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += seconds


def trusted(predict: Any) -> Batcher:
    """Return a batcher that has passed its initial checks."""
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS):
        batcher([row(1.0), row(2.0)])
    predict.calls.clear()
    return batcher


def values(outcomes: list[Any]) -> list[Any]:
    """Convert arrays to lists, and keep exceptions."""
    return [each.tolist() if isinstance(each, np.ndarray) else each for each in outcomes]


def test_a_model_that_does_not_opt_in_is_never_batched() -> None:
    """Without the model's opt-in, each request is a separate call."""
    predict = Counting()
    batcher = Batcher(predict, is_offered=False)

    assert batcher.together() == 1
    assert values(batcher([row(1.0), row(2.0)])) == [[[2.0]], [[4.0]]]
    assert predict.calls == [1, 1]


def test_the_first_batches_are_checked_before_the_model_is_trusted() -> None:
    """The first batches are computed both row by row and together, later ones only together."""
    predict = Counting()
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS + 1):
        batcher([row(1.0), row(2.0)])

    assert predict.calls == [1, 1, 2] * CHECKS + STRANGERS + [2]


def test_a_trusted_model_is_checked_again_from_time_to_time() -> None:
    """A trusted model is checked again once in CHECK_EVERY batches."""
    predict = Counting()
    batcher = trusted(predict)
    for _ in range(CHECK_EVERY + 1):
        batcher([row(1.0), row(2.0)])

    assert predict.calls == [2] * CHECK_EVERY + [1, 1, 2] + STRANGERS


def test_a_model_whose_rows_influence_each_other_is_not_batched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If rows influence each other, batching ends, and each request gets its own result."""
    batcher = Batcher(Counting(lambda rows: rows - rows.mean(axis=0)), is_offered=True)

    assert values(batcher([row(1.0), row(3.0)])) == [[[0.0]], [[0.0]]]
    assert not batcher.is_on
    assert "Batching is off" in caplog.text


def test_identical_rows_do_not_count_as_a_check() -> None:
    """Identical rows cannot reveal cross-row effects, so such batches do not count as checks."""
    predict = Counting(lambda rows: rows - rows.mean(axis=0))
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS + 1):
        batcher([row(1.0), row(1.0)])
    batcher([row(1.0), row(3.0)])

    assert not batcher.is_on


def fills_gaps(rows: Any) -> Any:
    """Fill each gap with its column's mean."""
    means = np.nanmean(rows, axis=0)
    return np.where(np.isnan(rows), means, rows)


def scales(rows: Any) -> Any:
    """Scale by the largest value, which is 1 in all requests of the test."""
    return rows / np.abs(rows).max()


def cuts_padding(rows: Any) -> Any:
    """Average what is left of the columns that are zero in all rows."""
    return rows[:, (rows != 0).any(axis=0)].mean(axis=1)


def divides_bytes(rows: Any) -> Any:
    """Take numbers above 1 for bytes."""
    return rows / 255 if (rows > 1).any() else rows


def shifts(rows: Any) -> Any:
    """Take negative numbers for those between -1 and 1."""
    return (rows + 1) / 2 if (rows[:, :2].min(axis=1) < -0.5).any() else rows


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("function", [fills_gaps, scales, cuts_padding, divides_bytes, shifts])
@pytest.mark.parametrize("form", [lambda value: value, lambda value: {"x": value}])
def test_similar_rows_do_not_hide_cross_row_effects(
    function: Callable[[Any], Any], form: Callable[[Any], Any]
) -> None:
    """A model is also tried with rows of other kinds than those that clients have sent so far."""

    def predict(value: Any) -> Any:
        return function(value["x"] if isinstance(value, dict) else value)

    batcher = Batcher(lambda value, *_, **__: predict(value), is_offered=True)
    for number in range(CHECKS):
        rows = [np.array([[1.0, -each / 9, 0.0, 0.0]]) for each in (number, number + 1)]
        outcomes = batcher([asked(form(each)) for each in rows])
        assert list(map(repr, outcomes)) == [repr(function(each)) for each in rows]

    assert not batcher.is_on


def test_a_model_that_refuses_the_made_up_rows_is_still_batched() -> None:
    """A model that refuses missing values can still be batched."""
    batcher = trusted(Counting(refuse_missing))

    assert values(batcher([row(1.0), row(2.0)])) == [[[1.0]], [[2.0]]]
    assert batcher.is_on


def refuse_missing(rows: Any) -> Any:
    """A predict function that fails on NaN."""
    if np.isnan(rows).any():
        raise ValueError("NaN")
    return rows


def test_a_model_that_returns_too_few_rows_is_not_batched() -> None:
    """If a batch returns too few rows, its requests are repeated singly, and batching ends."""
    predict = Counting(lambda rows: rows)
    batcher = trusted(predict)
    predict.function = lambda rows: rows[:1]

    requests = [row(1.0), row(2.0)]
    assert batcher(requests) == [AGAIN, AGAIN]
    assert values([batcher([each])[0] for each in requests]) == [[[1.0]], [[2.0]]]
    assert not batcher.is_on
    assert batcher.together() == 1


def refuse_negative(rows: Any) -> Any:
    """A predict function that fails on negative numbers."""
    if (rows < 0).any():
        raise ValueError("negative")
    return rows


def test_a_check_computes_only_two_requests_of_a_large_batch_singly() -> None:
    """A check computes two different requests singly; the rest of a large batch is queued again."""
    predict = Counting()
    batcher = Batcher(predict, is_offered=True)
    waiting = [row(1.0)] * 100 + [row(float(number)) for number in range(100)]
    answered = []
    while waiting:
        outcomes = batcher(waiting)
        pairs = list(zip(waiting, outcomes, strict=True))
        answered += [(request, outcome) for request, outcome in pairs if outcome is not AGAIN]
        waiting = [request for request, outcome in pairs if outcome is AGAIN]

    assert predict.calls == [1, 1, 2] * CHECKS + STRANGERS + [200 - 2 * CHECKS]
    assert all((request.value * 2 == outcome).all() for request, outcome in answered)


def test_after_a_long_call_unlike_requests_wait_again() -> None:
    """After a call that takes long, others get their turn before the next one."""

    def slow(rows: Any) -> Any:
        time.sleep(2 * TRIP_SECONDS)
        return rows

    batcher = Batcher(Counting(slow), is_offered=True)
    requests = [row(*range(width)) for width in range(1, 4)]

    outcomes = batcher(requests)

    assert values(outcomes[:1]) == [[[0]]]
    assert outcomes[1:] == [AGAIN, AGAIN]


def test_unlike_requests_are_answered_at_once_if_calls_are_quick() -> None:
    """Quick calls follow one another."""
    batcher = Batcher(Counting(), is_offered=True)

    assert values(batcher([row(1.0), row(1.0, 2.0)])) == [[[2.0]], [[2.0, 4.0]]]


def exits_for_negative(rows: Any) -> Any:
    """A predict function that calls sys.exit for negative numbers."""
    if (rows < 0).any():
        sys.exit("negative")
    return rows


def test_a_request_for_which_the_model_exits_affects_no_other() -> None:
    """SystemExit, and any other `BaseException`, is the outcome of only that request."""
    batcher = trusted(Counting(exits_for_negative))

    outcomes = asked_in_turn(batcher, [row(1.0), row(-1.0), row(2.0)])

    assert isinstance(outcomes.pop(1), SystemExit)
    assert values(outcomes) == [[[1.0]], [[2.0]]]


@pytest.mark.parametrize(
    ("alone", "together"),
    [
        (lambda rows: {"a": rows}, lambda rows: rows),
        (lambda rows: rows, lambda rows: {"a": rows}),
        (lambda rows: rows.tolist(), lambda rows: rows),
        (lambda rows: {"a": rows}, lambda rows: {"b": rows}),
    ],
)
def test_a_model_whose_results_vary_in_kind_is_called_one_by_one(
    alone: Callable[[Any], Any], together: Callable[[Any], Any]
) -> None:
    """A batch of another kind than its rows is no error of the requests."""
    requests = [row(1.0), row(2.0)]
    batcher = Batcher(
        Counting(lambda rows: alone(rows) if len(rows) == 1 else together(rows)), is_offered=True
    )

    outcomes = batcher(requests)

    assert list(map(repr, outcomes)) == [repr(alone(each.value)) for each in requests]
    assert not batcher.is_on


def asked_in_turn(batcher: Batcher, requests: Sequence[InferenceRequest]) -> list[Any]:
    """Call a batcher as the engine does: with as many as it takes, and with what goes again."""
    waiting, outcomes = list(requests), dict[int, Any]()
    while waiting:
        taken = waiting[: batcher.at_once()]
        for request, outcome in zip(taken, batcher(taken), strict=True):
            if outcome is not AGAIN:
                waiting = [each for each in waiting if each is not request]
                outcomes[id(request)] = outcome
    return [outcomes[id(request)] for request in requests]


@pytest.mark.parametrize("place", [0, 1, 100, 127, 128, 200, 254, 255])
def test_one_bad_request_among_many_is_found_by_halving(place: int) -> None:
    """A bad request in a batch of 256 is found in 8 more calls, and a last one gives its error."""
    predict = Counting(refuse_negative)
    batcher = trusted(predict)
    requests = [row(-1.0 if number == place else 1.0) for number in range(256)]

    outcomes = asked_in_turn(batcher, requests)

    halves = [128, 64, 32, 16, 8, 4, 2, 1]
    assert predict.calls[:9] == [256, *halves]
    last = [1] if place % 2 else []  # its neighbour was called, and not at fault
    assert predict.calls[9 : 9 + len(last)] == last
    assert len(predict.calls[9 + len(last) :]) <= 1  # for the rest, which others may join
    assert isinstance(outcomes.pop(place), ValueError)
    assert values(outcomes) == [[[1.0]]] * 255
    assert batcher.at_once() == batcher.together() == 256


def test_others_get_a_turn_during_the_search_for_a_bad_request() -> None:
    """The model is never called twice at a time, and waiting times are reported as before."""
    predict = Counting(refuse_negative)
    batcher = trusted(predict)

    assert batcher([row(-1.0), *[row(1.0) for _ in range(15)]]) == [AGAIN] * 16

    assert predict.calls == [16]
    assert (batcher.at_once(), batcher.together()) == (8, 256)


def test_the_search_ends_if_all_suspects_disconnect() -> None:
    """When the clients of all requests that may be at fault have left, batches are whole again."""
    batcher = trusted(Counting(refuse_negative))
    gone, here = [row(-1.0), row(1.0)], row(3.0)
    batcher(gone)
    assert batcher.at_once() == 1

    assert values(batcher([here])) == [[[3.0]]]

    assert batcher.at_once() == 256


def test_after_many_bad_requests_the_others_are_repeated_singly() -> None:
    """After MOST_SOUGHT bad requests, the rest of the batch is repeated one by one, once each."""
    predict = Counting(refuse_negative)
    batcher = trusted(predict)
    requests = [row(-1.0 if number % 2 else 1.0) for number in range(64)]

    outcomes = asked_in_turn(batcher, requests)

    assert [isinstance(each, ValueError) for each in outcomes] == [False, True] * 32
    assert predict.calls[-(64 - 2 * MOST_SOUGHT) :] == [1] * (64 - 2 * MOST_SOUGHT)
    assert len(predict.calls) < 64 + 8 * (MOST_SOUGHT + 1)
    assert batcher.together() == 256


def test_requests_that_fail_only_together_are_soon_repeated_singly() -> None:
    """A model may refuse every batch, for example for lack of memory; its rows are no fault."""

    def refuse_batches(rows: Any) -> Any:
        if len(rows) > 1 and (rows > 9).any():
            raise MemoryError
        return rows

    predict = Counting(refuse_batches)
    batcher = trusted(predict)

    outcomes = asked_in_turn(batcher, [row(10.0) for _ in range(64)])

    assert values(outcomes) == [[[10.0]]] * 64
    assert len(predict.calls) < 64 + 8 * (MOST_SOUGHT + 1)


def test_occasional_bad_requests_do_not_end_batching() -> None:
    """A bad request now and then is sought each time."""
    predict = Counting(refuse_negative)
    batcher = trusted(predict)
    for _ in range(2 * MOST_SOUGHT):
        asked_in_turn(batcher, [row(-1.0), row(1.0), row(2.0), row(3.0)])
        predict.calls.clear()
        batcher([row(1.0), row(2.0)])
        assert predict.calls == [2]


def test_a_model_that_is_slower_in_batches_is_not_batched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Batching is turned off if a batch takes clearly longer than its rows one by one."""
    clock = Clock(monkeypatch)

    def predict(value: Any, names: list[str], meta: Any, context: Any) -> Any:
        clock.pass_by(len(value) ** 2)
        return value

    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS):
        batcher([row(1.0), row(2.0)])

    assert not batcher.is_on
    assert "takes longer for a batch than for its rows" in caplog.text


@pytest.mark.parametrize(
    ("width", "copy", "call", "next_together"),
    [(LARGE, 0.01, 0.001, 1), (LARGE, 0.01, 0.1, 256), (1, 0.01, 0.001, 256)],
    ids=["longer than the call", "shorter than the call", "small requests on a busy machine"],
)
def test_requests_are_not_batched_if_copying_them_takes_longer_than_answering(
    width: int, copy: float, call: float, next_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then many large requests run alone before a batch is tried again."""
    clock = Clock(monkeypatch)

    def answered(value: Any) -> Any:
        clock.pass_by(call)
        return value[:, :1]

    def copied(arrays: Sequence[Any]) -> Any:
        clock.pass_by(copy)
        return stack(arrays)

    batcher = trusted(Counting(answered))
    monkeypatch.setattr("prepackaged.server.inference.batching.stack", copied)

    assert values(batcher([row(*[1.0] * width), row(*[2.0] * width)])) == [[[1.0]], [[2.0]]]
    assert batcher.together() == next_together
    for _ in range(SINGLY_AFTER_COPY):
        batcher([row(1.0)])
    assert batcher.together() == 256


def test_a_bad_request_affects_no_other() -> None:
    """A failing request gets its own error; the other requests of its batch get their results."""
    batcher = trusted(Counting(refuse_negative))

    good, bad, last = asked_in_turn(batcher, [row(1.0), row(-1.0), row(3.0)])

    assert values([good, last]) == [[[1.0]], [[3.0]]]
    assert isinstance(bad, ValueError)
    assert batcher.is_on


def test_requests_that_do_not_stack_are_not_batched() -> None:
    """Requests with other names, dtypes, widths or with non-arrays are not batched together."""
    predict = Counting(lambda value: value)
    batcher = trusted(predict)
    items = [
        row(1.0),
        asked(np.array([[2.0]]), ["a"]),
        asked(np.array([[3]])),
        row(4.0, 5.0),
        asked("text"),
        row(6.0),
    ]

    outcomes = batcher(items)

    assert values(outcomes) == [[[1.0]], [[2.0]], [[3]], [[4.0, 5.0]], "text", [[6.0]]]
    assert sorted(predict.calls) == [1, 1, 1, 2, 4]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_each_request_of_a_batch_gets_the_results_of_its_rows(sizes: list[int]) -> None:
    """Each request of a batch gets the results of its own rows, in order."""
    batcher = trusted(Counting())
    start = np.cumsum([0, *sizes])
    items = [
        asked(np.arange(first, first + size, dtype=float).reshape(-1, 1))
        for first, size in zip(start, sizes, strict=False)
    ]

    outcomes = batcher(items)

    assert values(outcomes) == [(item.value * 2).tolist() for item in items]


# Several named arrays, and parameters


class Adding:
    """A predict function with two named inputs and outputs, which records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, dict[str, Any]]] = []

    def __call__(self, value: Any, names: list[str], meta: Any, context: Any) -> Any:
        self.calls.append((len(value["a"]), dict(meta)))
        return {"sum": value["a"] + value["b"], "rows": np.ones(len(value["a"]))}


def pair(a: list[int], b: list[int], **parameters: Any) -> InferenceRequest:
    """Build a request with two named arrays."""
    return asked({"a": np.array(a), "b": np.array(b)}, **parameters)


def test_named_inputs_are_stacked_and_named_outputs_are_split() -> None:
    """Named inputs are stacked, and each request gets its own rows of every named output."""
    predict = Adding()
    batcher = Batcher(predict, is_offered=True)
    for _ in range(CHECKS):
        batcher([pair([1], [2]), pair([3], [4])])
    predict.calls.clear()

    first, second = batcher([pair([1, 2], [10, 20]), pair([3], [30])])

    assert predict.calls == [(3, {})]
    assert (first["sum"].tolist(), second["sum"].tolist()) == ([11, 22], [33])
    assert (len(first["rows"]), len(second["rows"])) == (2, 1)


@pytest.mark.parametrize(
    "other",
    [
        asked({"a": np.array([1])}),
        asked({"a": np.array([1]), "b": np.array([1.0])}),
        asked({"a": np.array([1]), "b": np.array([[1]])}),
        asked({"a": np.array([1, 2]), "b": np.array([1])}),
        asked({"a": np.array([1]), "b": np.array(["x"], dtype=object)}),
        asked({"a": np.array([1]), "b": [1]}),
        asked({}),
        pair([1], [2], method="margin"),
    ],
    ids=[
        "another name",
        "another dtype",
        "another shape",
        "unequal rows",
        "objects",
        "lists",
        "nothing",
        "another parameter",
    ],
)
def test_named_arrays_that_do_not_stack_share_no_call(other: InferenceRequest) -> None:
    """Requests share a batch only if names, dtypes, trailing shapes and parameters are equal."""
    assert batch_key(pair([1], [2])) is not None
    assert batch_key(other) != batch_key(pair([1], [2])) or batch_key(other) is None


def test_the_parameters_of_a_batch_reach_the_model() -> None:
    """The model gets the request parameters, in a batch and in a single call."""
    predict = Adding()
    batcher = Batcher(predict, is_offered=True)

    for _ in range(CHECKS + 1):
        batcher([pair([1], [2], method="margin"), pair([3], [4], method="margin")])

    assert {meta["method"] for _, meta in predict.calls} == {"margin"}
    assert predict.calls[-1] == (2, {"method": "margin"})
