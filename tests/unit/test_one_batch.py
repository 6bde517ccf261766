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
    """Both side by side, which takes as many rows of each."""
    return {"y": np.concatenate([a, b], axis=1)}


def scored(a: Any, b: Any) -> Any:
    """Each row of one by each of the other."""
    return {"y": a[:, :1] @ b[:, :1].T}


def first_only(a: Any, b: Any) -> Any:
    """The other is not looked at."""
    return {"y": a}


def counted(a: Any, b: Any) -> Any:
    """One number of all rows."""
    return {"y": (a + b).sum()}


def failing(a: Any, b: Any) -> Any:
    """Refuses zeros."""
    raise ValueError("zeros")


@pytest.mark.parametrize(
    ("function", "is_one"),
    [(joined, True), (scored, False), (first_only, False), (counted, False), (failing, False)],
)
def test_inputs_have_one_batch_where_the_model_takes_no_other_numbers(
    function: Any, is_one: Any
) -> None:
    """It gives as many rows as it gets, and refuses one more of any of them."""
    assert have_one_batch(lambda arrays: function(**arrays), [A, B]) is is_one


def test_a_setting_is_no_batch() -> None:
    """Nothing has to be tried."""
    assert not have_one_batch(lambda arrays: arrays, [A, SETTING])


def test_blanks_are_zeros_and_empty_texts() -> None:
    """Of the input's shape, free axes of size 1 but for the rows."""
    assert blank(B, 3).tolist() == [[0.0]] * 3
    assert blank(WORD, 2).tolist() == ["", ""]
    assert blank(SETTING, 2).tolist() == [0.0]
    assert blank(TensorSpec("x", "int64", (2, None))).tolist() == [[0], [0]]
    assert blank(TensorSpec("x", "bool")).tolist() is False
