from typing import Any

import numpy as np
import pytest

from prepackaged import TensorSpec
from prepackaged.one_batch import blank, have_one_batch

A = TensorSpec("a", "float32", (None, 2), axes=(None, None))
B = TensorSpec("b", "float32", (None, None), axes=(None, None))
WORD = TensorSpec("word", "str", (None,), axes=(None,))
SETTING = TensorSpec("k", "float32", (1,))


def joined(a: Any, b: Any) -> Any:
    """Join both inputs side by side, which requires equal numbers of rows."""
    return {"y": np.concatenate([a, b], axis=1)}


def scored(a: Any, b: Any) -> Any:
    """Multiply each row of one input by each of the other."""
    return {"y": a[:, :1] @ b[:, :1].T}


def first_only(a: Any, b: Any) -> Any:
    """Ignore the second input."""
    return {"y": a}


def counted(a: Any, b: Any) -> Any:
    """Return a single number for all rows."""
    return {"y": (a + b).sum()}


def failing(a: Any, b: Any) -> Any:
    """Refuse all input."""
    raise ValueError("zeros")


@pytest.mark.parametrize(
    ("function", "is_one"),
    [(joined, True), (scored, False), (first_only, False), (counted, False), (failing, False)],
)
def test_inputs_share_a_batch_if_the_model_refuses_unequal_rows(function: Any, is_one: Any) -> None:
    """Inputs share a batch if output rows equal input rows and unequal numbers of rows fail."""
    assert have_one_batch(lambda arrays: function(**arrays), [A, B]) is is_one


def test_an_input_without_a_batch_axis_is_not_tried() -> None:
    """An input without a batch axis needs no trial."""
    assert not have_one_batch(lambda arrays: arrays, [A, SETTING])


def test_blanks_are_zeros_and_empty_texts() -> None:
    """A blank input has zeros or empty texts, with variable axes of size 1."""
    assert blank(B, 3).tolist() == [[0.0]] * 3
    assert blank(WORD, 2).tolist() == ["", ""]
    assert blank(SETTING, 2).tolist() == [0.0]
    assert blank(TensorSpec("x", "int64", (2, None))).tolist() == [[0], [0]]
    assert blank(TensorSpec("x", "bool")).tolist() is False
