"""What a model gets that training had not is counted, by column and kind."""

import logging
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from prepackaged import ClientError, Column, Columns, Signature, Table, TensorSpec, ValueRange
from prepackaged.server.inference.drift import (
    IDLE_SHARE,
    LONGEST,
    MOST_SAVED,
    OTHER,
    SHARE,
    Budget,
    Drift,
    drift_of,
)
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.inference.work import AGAIN
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.signature import Facts

AREA = Column("area", "float64", value_range=ValueRange(10, 250, "training"))
CITY = Column("city", "text", categories=("Taipei", "Tainan"))
HOUSES = (AREA, CITY)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Counted:
    """Drift of a signature, and what the metrics page says of it.

    `prepare` is the model's hook, by default the one that casts by the signature.
    """

    def __init__(self, prepare: Any = None, **facts: Any) -> None:
        self.metrics = Metrics()
        signature = Signature(**facts)
        prepare = prepare or Columns.of(signature.inputs).table
        self.drift = Drift(signature, self.metrics, prepare, Budget(*clocks()))

    def __call__(self, *values: Any, outcomes: Iterable[Any] | None = None) -> None:
        """A batch of requests with these values; without outcomes, they are answered."""
        requests = [InferenceRequest(value, []) for value in values]
        self.drift(requests, [None for _ in values] if outcomes is None else list(outcomes))

    @property
    def page(self) -> dict[str, float]:
        """The values by labels, `rows` for that of the rows."""
        text = self.metrics.exposition()[0].decode()
        return {
            " ".join(sample.labels.values()) if sample.labels else "rows": sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.name.startswith(("prepackaged_input", "prepackaged_predicted"))
        }

    @property
    def found(self) -> dict[str, float]:
        """The same without zeros."""
        return {labels: value for labels, value in self.page.items() if value}


def table(inputs: Facts, *rows: Any) -> Table:
    """Rows, cast by the signature as the model gets them."""
    return Columns.of(inputs).table([*map(list, rows)])


def test_each_kind_of_drift_is_counted_by_column() -> None:
    """Missing, unknown and outlying values count once each; usual ones, ends too, not at all."""
    counted = Counted(inputs=HOUSES)

    counted(
        table(HOUSES, (10, "Taipei"), (250.0, "Tainan"), (9.9, "Taipei"), (-math.inf, None)),
        table(HOUSES, (250.1, "taipei"), (math.inf, ""), (None, "Tainan"), (math.nan, "Taipei")),
    )

    assert counted.found == {
        "rows": 8,
        "area missing": 2,
        "area below_range": 2,
        "area above_range": 2,
        "city missing": 1,
        "city unknown_category": 2,
    }


def test_every_series_is_0_before_the_first_request() -> None:
    """Series exist for what the signature knows, and for nothing else."""
    facts = (*HOUSES, Column("rooms", "int64", nullable=False), Column("unused", used=False))
    assert Counted(inputs=facts, class_names=("cheap", "dear")).page == {
        "rows": 0,
        "area missing": 0,
        "area below_range": 0,
        "area above_range": 0,
        "city missing": 0,
        "city unknown_category": 0,
        "cheap": 0,
        "dear": 0,
    }


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"inputs": (Column("rooms", "int64", nullable=False),)},
        {"inputs": (TensorSpec("image", "float32", (None, 3)),)},
        {"inputs": (Column("text", "text", categories=("a",), open=False, nullable=False),)},
        {"inputs": (), "class_names": ()},
    ],
    ids=["nothing", "a column that takes all", "a tensor", "closed", "empty"],
)
def test_unknown_facts_have_no_series(facts: dict[str, Any]) -> None:
    """Without facts to compare with, there are no metrics, and requests pass unseen."""
    counted = Counted(**facts)

    counted(np.ones((2, 1)), [["a"]], {"image": np.ones((1, 3))}, None)

    assert counted.page == {}


def test_refused_and_repeated_requests_are_not_counted() -> None:
    """Only answered requests count, whatever else is in their batch."""
    counted = Counted(inputs=HOUSES)
    strange = table(HOUSES, (1000, "nowhere"))

    counted(strange, strange, strange, outcomes=[ClientError("no"), AGAIN, ValueError("model")])
    assert counted.found == {}

    counted(strange, strange, outcomes=[ClientError("no"), np.zeros(1)])
    assert counted.found == {"rows": 1, "area above_range": 1, "city unknown_category": 1}


def test_a_large_request_that_is_not_cast_yet_is_counted() -> None:
    """Requests that the model itself prepares are read as it reads them."""
    counted = Counted(inputs=HOUSES)

    counted([{"city": "Kyoto", "area": 20}] * 3, [[None, "Tainan"]], "not a table")

    assert counted.found == {"rows": 4, "area missing": 1, "city unknown_category": 3}


def test_the_names_of_an_array_give_the_order_of_columns() -> None:
    """An uncast array with names has its columns in their order."""
    low, high = (
        Column(name, "float64", value_range=ValueRange(*ends, "training"))
        for name, ends in (("low", (0, 1)), ("high", (100, 101)))
    )
    counted = Counted(inputs=(low, high))

    counted.drift([InferenceRequest(np.array([[100.5, 0.5]]), ["high", "low"])], [None])
    assert counted.found == {"rows": 1}

    counted.drift([InferenceRequest(np.array([[100.5, 0.5]]), [])], [None])
    assert counted.found == {"rows": 2, "low above_range": 1, "high below_range": 1}


def values_of(kind: str) -> Any:
    """Values of a column and how many of them are missing and unknown."""
    return {
        "text": (("a", "b"), ["a", "c", None, math.nan], 2, 1),
        "int64": ((1, 2), [1, 2.0, 3, None], 1, 1),
        "float64": ((0.5, 1.0), [0.5, 1, 2, None, math.nan], 2, 1),
        "bool": ((True,), [True, False, None], 1, 1),
        "datetime": (None, ["2026-01-31", None], 1, 0),
        "any": ((1, "a", 2.5), [1, "a", 2.5, "b", 2, None], 1, 2),
    }[kind]


@pytest.mark.parametrize("kind", ["text", "int64", "float64", "bool", "datetime", "any"])
def test_columns_of_any_kind_are_counted(kind: Any) -> None:
    """Null and NaN are missing in every kind of column, and never unknown categories."""
    categories, values, missing, unknown = values_of(kind)
    column = Column("c", kind, categories=categories)
    counted = Counted(inputs=(column,))

    counted(table((column,), *([each] for each in values)))

    expected = {"rows": len(values), "c missing": missing, "c unknown_category": unknown}
    assert counted.found == {labels: value for labels, value in expected.items() if value}


def test_the_models_missing_value_is_no_outlier() -> None:
    """A number that means a missing value is counted as one, not as an outlier."""
    column = Column(None, "float32", missing=-999.0, value_range=ValueRange(0, 1, "training"))
    counted = Counted(inputs=(column, Column(None, "float32")))

    counted(np.array([[-999.0, -999.0], [-998.0, 0.0], [math.nan, math.nan]], np.float32))

    assert counted.found == {"rows": 3, "0 missing": 2, "0 below_range": 1, "1 missing": 1}


def test_rounding_moves_no_value_out_of_its_range() -> None:
    """The least and the largest value of training are inside, also as 32-bit numbers."""
    column = Column("x", "float32", value_range=ValueRange(0.1, 0.7, "training"))
    counted = Counted(inputs=(column, column))

    counted(np.array([[0.1, 0.7], [0.7, 0.1]], np.float32))

    assert counted.found == {"rows": 2}


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", 'a "b"\\\n# TYPE x', "價格", "\0", ""]
)
def test_any_column_name_can_be_a_label(name: str) -> None:
    """Prometheus reads the name back as it is in the signature."""
    counted = Counted(inputs=(Column(name, "float64"),), class_names=(name, "other"))

    counted(np.array([[math.nan]]))

    assert counted.found == {"rows": 1, f"{name} missing": 1}
    assert f"{name}" in counted.page


def test_surrogates_in_a_name_become_question_marks() -> None:
    """Surrogates, which have no UTF-8, become question marks."""
    counted = Counted(inputs=(Column("a\ud800", "float64"),))
    assert counted.page == {"rows": 0, "a? missing": 0}


def test_long_names_are_truncated_and_still_differ() -> None:
    """Of 10,000 characters a label has the first ones, and the place of the column."""
    names = [f"{'x' * 10_000}{number}" for number in range(2)]
    counted = Counted(inputs=tuple(Column(name, "float64") for name in names), class_names=names)

    counted(np.array([[0, math.nan]]), outcomes=[np.array([[0.1, 0.9]])])

    second = f"{'x' * LONGEST}... (1)"
    assert counted.found == {"rows": 1, f"{second} missing": 1, second: 1}
    assert len(counted.metrics.exposition()[0]) < 3000


def test_columns_and_classes_beyond_a_hundred_are_counted_together() -> None:
    """There are 101 labels at most, and no value is lost."""
    names = tuple(f"c{number}" for number in range(150))
    counted = Counted(inputs=tuple(Column(name, "float64") for name in names), class_names=names)

    counted(np.full((2, 150), math.nan), outcomes=[np.eye(150)[[99, 100]]])
    counted(np.zeros((1, 150)), outcomes=[np.eye(150)[[149]]])

    assert sum("missing" in labels for labels in counted.page) == 101
    assert counted.page[f"{OTHER} missing"] == 100
    assert counted.page["c99 missing"] == 2
    assert "c100 missing" not in counted.page
    assert (counted.page["c99"], counted.page[OTHER]) == (1, 2)
    assert len(counted.page) == 101 + 101 + 1


def test_arrays_and_tables_of_several_clients_are_counted_together() -> None:
    """A batch of requests is counted as its requests would be one by one."""
    inputs = (AREA, Column("rooms", "float64", value_range=ValueRange(1, 9, "training")))
    values = [
        np.array([[5.0, 1.0], [20.0, 20.0]]),
        np.array([[5, 1]]),
        table(inputs, (300, None)),
        [{"rooms": 0, "area": 5}],
    ]
    together, alone = Counted(inputs=inputs), Counted(inputs=inputs)

    together(*values)
    for value in values:
        alone(value)

    assert together.found == alone.found
    assert together.found == {
        "rows": 5,
        "area below_range": 3,
        "area above_range": 1,
        "rooms missing": 1,
        "rooms below_range": 1,
        "rooms above_range": 1,
    }


SCORES = np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]])


@pytest.mark.parametrize(
    ("facts", "result"),
    [
        ({"method": "predict_proba"}, SCORES),
        ({"method": "predict"}, np.array(["dear", "cheap", "dear"])),
        ({"method": "label"}, np.array(["dear", "cheap", "dear"], object)),
        (
            {"method": "label", "outputs": (TensorSpec("", str, (None,)),)},
            np.array(["dear", "cheap", "dear"]),
        ),
        ({}, SCORES.astype(np.float32)),
        ({"outputs": (TensorSpec("y", "float32", (None, 2)),)}, SCORES),
        (
            {"outputs": (TensorSpec("y", "float32", (None, None)),)},
            {"y": SCORES, "z": SCORES[:, 0]},
        ),
    ],
    ids=[
        "scores",
        "labels",
        "objects",
        "a tensor of labels",
        "tensor",
        "its shape",
        "one of several",
    ],
)
def test_the_predicted_class_of_each_row_is_counted(facts: dict[str, Any], result: Any) -> None:
    """The class is the label, or that of the highest score."""
    counted = Counted(class_names=("cheap", "dear"), **facts)

    counted(np.ones((3, 1)), outcomes=[result])

    assert counted.found == {"rows": 3, "cheap": 1, "dear": 2}


@pytest.mark.parametrize("names", [("0", "1"), ("0.0", "1.0"), ("False", "True")])
def test_labels_that_are_not_text_are_named_as_in_the_signature(names: tuple[str, str]) -> None:
    """Classes of numbers and of booleans are counted under their texts."""
    dtype = {"0": np.int64, "0.0": np.float64, "False": np.bool_}[names[0]]
    counted = Counted(class_names=names, method="predict")

    counted(np.ones((3, 1)), outcomes=[np.array([0, 1, 1], dtype)])

    assert counted.found == {"rows": 3, names[0]: 1, names[1]: 2}


@pytest.mark.parametrize(
    "result",
    [
        np.ones((3, 3)),
        np.full((3, 2), math.nan),
        {"a": SCORES, "b": SCORES},
        {"a": SCORES.tolist()},
        np.array([["a", "b"]]),
        np.array(1.0),
        "text",
        None,
    ],
    ids=["another width", "NaN", "two of them", "lists", "text", "a number", "a text", "nothing"],
)
def test_predictions_without_a_known_class_only_count_as_rows(result: Any) -> None:
    """Whatever a model answers, only rows with one known class add to the classes."""
    counted = Counted(class_names=("cheap", "dear"), method="predict_proba")

    counted(np.ones((2, 1)), np.ones((1, 1)), outcomes=[result, result])
    counted(np.ones((3, 1)), outcomes=[result])

    assert counted.found == {"rows": 6}


@pytest.mark.parametrize(
    "facts",
    [
        {"method": "decision_function"},
        {"method": "transform"},
        {"method": "predict", "outputs": (TensorSpec("", "float32", (None,)),)},
        {"method": "label", "outputs": (TensorSpec("", "int64", (None, 5)),)},
    ],
    ids=["decisions", "features", "probabilities of one class", "several labels a row"],
)
def test_a_method_that_returns_no_classes_has_no_class_series(facts: Any) -> None:
    """Series that would always be 0 do not exist."""
    assert Counted(class_names=("cheap", "dear"), **facts).page == {}


@pytest.mark.parametrize(
    "asked", [{"parameters": {"method": "predict"}}, {"meta": {"tags": {"method": "predict"}}}]
)
def test_predictions_of_another_method_count_no_classes(asked: dict[str, Any]) -> None:
    """A request that chose its method has rows and values, and no class."""
    counted = Counted(inputs=(AREA,), class_names=("cheap", "dear"), method="predict_proba")

    counted.drift([InferenceRequest(np.array([[1.0]]), [], **asked)], [SCORES[:1]])

    assert counted.found == {"rows": 1, "area below_range": 1}


def test_an_error_in_the_counting_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    """Values that cannot be compared end the counting, with one line in the log."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]

    counted = Counted(inputs=(CITY,))
    odd = Table((CITY,), (np.array([Odd()], object),))
    with caplog.at_level(logging.WARNING):
        counted(odd)
        counted(odd)
        counted(table((CITY,), ("nowhere",)))

    assert [record.message for record in caplog.records] == ["Drift is no longer counted"]
    assert counted.found == {"rows": 1}


def clocks() -> tuple[Clock, Clock, Clock]:
    """The time, the processor time of the process, and that of its thread."""
    return Clock(), Clock(), Clock()


def counted_in(batches: int, seconds: float, busy: float, cost: float) -> int:
    """How many batches are counted, of some that take so long and use the processor so long."""
    now, used, spent = clocks()
    budget, counted = Budget(now, used, spent), 0
    for _ in range(batches):
        now.now += seconds
        used.now += busy
        if budget.begin():
            spent.now += cost
            budget.end()
            counted += 1
    return counted


@pytest.mark.parametrize(
    ("busy", "share"),
    [(0.01, SHARE + IDLE_SHARE), (0.002, SHARE / 5 + IDLE_SHARE), (0.08, SHARE + IDLE_SHARE)],
    ids=["a processor", "a fifth of one", "eight"],
)
def test_a_saturated_process_spends_a_hundredth_of_its_time_on_counting(
    busy: float, share: float
) -> None:
    """Of batches of 10 ms with 1 ms of counting each, some are counted, whatever the processors."""
    counted = counted_in(10_000, 0.01, busy, 0.001)

    assert counted == pytest.approx(10_000 * 10 * share + MOST_SAVED / 0.001, abs=2)
    assert counted * 0.001 < 0.02 * 10_000 * min(busy, 0.01)


def test_an_idle_process_counts_everything() -> None:
    """A request of 1 ms in a second is counted each time, though counting takes 0.5 ms."""
    assert counted_in(1000, 1, 0.001, 0.0005) == 1000


def test_after_a_slow_count_the_next_batches_are_skipped() -> None:
    """With a second of counting, the next is when that was its share, to the millisecond."""
    now, used, spent = clocks()
    budget = Budget(now, used, spent)

    def run(seconds: float) -> bool:
        now.now += seconds
        used.now += seconds
        return budget.begin()

    assert run(0)
    spent.now += 1
    budget.end()
    assert not run(0)
    assert not run((1 - MOST_SAVED) / (SHARE + IDLE_SHARE) - 0.01)
    assert run(0.02)


def test_the_saved_time_is_limited() -> None:
    """After an idle night, a burst may take no longer than after a minute."""
    now, used, spent = clocks()
    budget = Budget(now, used, spent)
    now.now += 1e6

    assert budget.begin()
    spent.now += MOST_SAVED
    budget.end()

    assert not budget.begin()


@pytest.mark.parametrize("signature", [None, Signature(), "not a signature"])
def test_a_model_without_facts_has_no_metrics(signature: Any) -> None:
    """Nothing is counted for a model that does not describe itself."""
    metrics = Metrics()
    watch: Callable[..., None] = drift_of(SimpleNamespace(signature=signature), metrics, None)

    watch([InferenceRequest(np.ones((1, 1)), [])], [None])

    assert b"prepackaged_input" not in metrics.exposition()[0]
