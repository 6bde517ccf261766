import json
from typing import Any

import numpy as np
import pytest

from prepackaged import Column, Signature, TensorSpec, ValueRange
from prepackaged.examples import LONGEST, example_request


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((Column("a"), Column("b")), {"data": {"names": ["a", "b"], "ndarray": [[1, 1]]}}),
        ((Column(), Column()), {"data": {"ndarray": [[1, 1]]}}),
        ((Column("a"), Column()), {"data": {"ndarray": [[1, 1]]}}),
        (
            (
                Column("f", "float64"),
                Column("i", "int64"),
                Column("yes", "bool"),
                Column("t", "text"),
                Column("c", "category", ("Taipei", "Tainan")),
                Column("n", "category", (np.int64(7),)),
                Column("u", "category"),
                Column("d", "datetime"),
            ),
            {
                "data": {
                    "names": ["f", "i", "yes", "t", "c", "n", "u", "d"],
                    "ndarray": [[0.5, 1, True, "a", "Taipei", 7, "a", "2026-01-31T12:00:00"]],
                }
            },
        ),
        ((TensorSpec("x", "float32", (None, 3)),), {"data": {"ndarray": [[0.5, 0.5, 0.5]]}}),
        ((TensorSpec("x", "int64", (None, None)),), {"data": {"ndarray": [[1]]}}),
        ((TensorSpec("x", "bool", (2,)),), {"data": {"ndarray": [True, True]}}),
        ((TensorSpec("x", str, (None, 1)),), {"data": {"ndarray": [["a"]]}}),
        ((TensorSpec("x", None),), {"data": {"ndarray": [[0.5]]}}),
        (
            (
                TensorSpec("x", "float32", (None, 2)),
                TensorSpec("k", "int64", ()),
                TensorSpec("mask", "bool", (None,), optional=True),
            ),
            {"jsonData": {"x": [[0.5, 0.5]], "k": 1}},
        ),
        (
            (TensorSpec("x", "int64", (None,)), TensorSpec("words", bytes, (None,))),
            {"jsonData": {"x": [1], "words": ["a"]}},
        ),
    ],
)
def test_an_example_has_the_types_and_shapes_of_the_signature(inputs: Any, message: Any) -> None:
    """The example is one row; variable sizes are 1, and categories are known ones."""
    example = example_request(Signature(inputs))
    assert example is not None
    assert json.loads(example) == message


@pytest.mark.parametrize(
    ("kind", "low", "high", "value"),
    [
        ("float64", 18, 90.5, 54.2),
        ("float32", 1e-9, 2e-9, 1.5e-9),
        ("float64", 1000001, 1000002, 1000001.5),
        ("float64", -1.6e308, 1.6e308, 0.0),
        ("int64", 10, 250, 130),
        ("bool", 0, 1, True),
        ("text", 0, 1, "a"),
    ],
)
def test_an_example_lies_in_the_known_range(kind: Any, low: float, high: float, value: Any) -> None:
    """The example is the middle of the range, rounded if it remains inside."""
    column = Column("x", kind, value_range=ValueRange(low, high, "training"))
    example = json.loads(example_request(Signature((column,))) or "")
    assert example["data"]["ndarray"] == [[value]]


@pytest.mark.parametrize(
    "signature",
    [
        None,
        Signature(),
        Signature(()),
        Signature(tuple(Column(f"{number}") for number in range(5000))),
        Signature(tuple(Column("x" * LONGEST) for _ in range(2))),
        Signature((TensorSpec("picture", "float32", (None, 3, 224, 224)),)),
        Signature((TensorSpec("x", "float32", (None, 2**40)),)),
    ],
    ids=str,
)
def test_there_is_no_example_if_it_is_unknown_or_long(signature: Any) -> None:
    """There is no example without a signature, or if it would be too long."""
    assert example_request(signature) is None
