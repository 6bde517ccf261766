"""Made-up inputs: their shapes, and the first that a model answers."""

from typing import Any

import numpy as np
import pytest

from prepackaged import TensorSpec
from prepackaged.example_inputs import first_answered, sizes_of


@pytest.mark.parametrize(
    ("inputs", "shapes"),
    [
        ({"x": (None, 3)}, {"x": [1, 3]}),
        ({"x": ("n", "seq"), "y": ("n", "seq")}, {"x": [1, 4], "y": [1, 4]}),
        ({"x": ("n", "s"), "mask": ("n", "past + 1")}, {"x": [1, 4], "mask": [1, 5]}),
        ({"x": ("n", "s"), "mask": ("n", "past+s")}, {"x": [1, 4], "mask": [1, 8]}),
        ({"x": ("n", "s"), "y": ("n", "2 * s - 1")}, {"x": [1, 4], "y": [1, 7]}),
        ({"x": ("n", "s"), "state": (2, "n", 8)}, {"x": [1, 4], "state": [2, 1, 8]}),
        ({"x": ("n", "floor(s/2)"), "y": ("n", "s // 2")}, {"x": [1, 4], "y": [1, 2]}),
        ({"x": ("batch size", "sequence length")}, {"x": [1, 4]}),
        ({"x": ("n", "s - 9")}, {}),
        ({"x": ("n", "s // 0")}, {"x": [1, 4]}),
    ],
)
def test_axes_have_the_size_that_their_names_say(inputs: Any, shapes: Any) -> None:
    """Axes of one name have one size, the first axis is one row, and a name may be a formula."""
    specs = [
        TensorSpec(
            name,
            "float32",
            [each if isinstance(each, int) else None for each in shape],
            axes=[each if isinstance(each, str) else None for each in shape],
        )
        for name, shape in inputs.items()
    ]
    assert sizes_of(specs, 4) == shapes


def refusing(accepted: Any) -> Any:
    """A model that answers only what `accepted` says."""

    def run(arrays: Any) -> None:
        if not accepted(**arrays):
            raise ValueError("refused")

    return run


def anything(**inputs: Any) -> bool:
    """Accept all inputs."""
    return bool(inputs)


def nothing(**inputs: Any) -> bool:
    """Accept no inputs."""
    return not inputs


@pytest.mark.parametrize(
    ("accepted", "dtype", "answered"),
    [
        (anything, "float32", [[0.5]]),
        (anything, bool, [[True]]),
        (anything, "int64", [[1]]),
        (anything, bytes, [["a"]]),
        (lambda x: (x == 0).all(), "int64", [[0]]),
        (lambda x: x.shape == (1, 32), "int64", [[1] * 32]),
        (lambda x: x.tolist() == [["Oslo"]], str, [["Oslo"]]),
        (lambda x: x.tolist() == [[""]], str, [[""]]),
    ],
)
def test_the_first_inputs_that_the_model_answers_are_the_example(
    accepted: Any, dtype: Any, answered: Any
) -> None:
    """Known values, usual ones and zeros are tried, and larger sizes."""
    spec = TensorSpec("x", dtype, (None, None))

    example = first_answered(refusing(accepted), [spec], [{"x": ["Oslo"]}] if dtype is str else [])

    assert example["x"].tolist() == answered


def test_a_model_that_answers_nothing_has_no_example() -> None:
    """An example that no call has proved is not promised."""
    specs = [TensorSpec("x", "float32", (None, 2))]

    assert first_answered(refusing(nothing), specs) == {}


def test_known_values_are_those_of_the_columns() -> None:
    """A list of known values has one for each column."""
    specs = [TensorSpec("x", str, (None, 2)), TensorSpec("n", "float32", (None, 1))]

    example = first_answered(lambda arrays: arrays, specs, [{"x": ["Oslo", "red"]}])

    assert {name: each.tolist() for name, each in example.items()} == {
        "x": [["Oslo", "red"]],
        "n": [[0.5]],
    }


def test_optional_inputs_are_left_out() -> None:
    """Only what the model needs is made up."""
    specs = [TensorSpec("x", None, (None,)), TensorSpec("mask", bool, (None,), optional=True)]

    assert {*first_answered(lambda arrays: arrays, specs)} == {"x"}
    assert {*first_answered(lambda arrays: arrays, specs[1:])} == {"mask"}
    np.testing.assert_array_equal(first_answered(lambda arrays: arrays, specs)["x"], [0.5])
