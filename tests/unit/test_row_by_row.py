from typing import Any

import numpy as np
import pytest

from prepackaged import ClientError
from prepackaged.row_by_row import joined, run_by_row

FREE = {"y": (1, None)}


def found(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the indices of nonzero values, whose number differs between rows, as in a detector."""
    assert len(arrays["x"]) == 1
    return {"y": np.argwhere(arrays["x"][0])}


def called(**arrays: Any) -> list[dict[str, Any]]:
    """Return the inputs of each call to a model that takes one row of x and k."""
    calls: list[dict[str, Any]] = []

    def run(row: dict[str, Any]) -> dict[str, Any]:
        calls.append({name: array.tolist() for name, array in row.items()})
        return {"y": np.zeros((1, 1))}

    arrays = {name: np.array(each) for name, each in arrays.items()}
    run_by_row(run, arrays, ("x", "k"), {"y": (1, 1)})
    return calls


def test_each_row_is_a_separate_call() -> None:
    """Each row is a separate call with that row of each batch input and all of the other inputs."""
    assert called(x=[[1], [2]], k=[[3], [4]], table=[7, 8]) == [
        {"x": [[1]], "k": [[3]], "table": [7, 8]},
        {"x": [[2]], "k": [[4]], "table": [7, 8]},
    ]


def test_an_input_of_one_row_is_used_for_all_rows() -> None:
    """An input with a single row is used for all rows."""
    assert called(x=[[1], [2]], k=[9]) == [{"x": [[1]], "k": [9]}, {"x": [[2]], "k": [9]}]


def test_other_numbers_of_rows_are_refused() -> None:
    """If the numbers of rows differ, the error gives both."""
    with pytest.raises(ClientError) as caught:
        called(x=[[1], [2], [3]], k=[8, 9])
    assert str(caught.value) == (
        "expected as many rows in every input, or one; 'x' has 3, 'k' has 2"
    )


def test_the_result_of_one_row_is_returned_unchanged() -> None:
    """A request of one row is answered with the model's output unchanged."""
    answer = run_by_row(found, {"x": np.array([[0, 1, 1]])}, ("x",), {"y": (None, 1)})
    assert answer["y"].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    "rows",
    [[[0, 1, 0], [1, 0, 0]], [[0, 1, 1], [1, 0, 1]], [[0, 1, 1], [0, 0, 0]], [[0, 0], [0, 0]]],
    ids=["one each", "two each", "two and none", "none"],
)
@pytest.mark.parametrize("shape", [(None, 1), None], ids=["free", "unknown"])
def test_outputs_of_variable_length_are_one_list_per_row(rows: Any, shape: Any) -> None:
    """Outputs of variable length become an object array with one list per row."""
    answer = run_by_row(found, {"x": np.array(rows)}, ("x",), {"y": shape})
    assert answer["y"].dtype == object
    assert answer["y"].tolist() == [np.argwhere(row).tolist() for row in rows]


@pytest.mark.parametrize(
    ("shape", "parts", "expected"),
    [
        ((1, 2), [[[1, 2]], [[3, 4]]], [[1, 2], [3, 4]]),
        ((2,), [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ((), [1, 2], [1, 2]),
        ((1, None), [[[1, 2]], [[3, 4]]], [[1, 2], [3, 4]]),
        ((1, None), [[[1, 2]], [[3]]], [[1, 2], [3]]),
        ((1, 2), [[[1, 2]], [[3]]], [[1, 2], [3]]),
        ((None,), [[1], [2]], [[1], [2]]),
    ],
)
def test_a_fixed_first_axis_of_size_1_is_the_batch(shape: Any, parts: Any, expected: Any) -> None:
    """A fixed first axis of size 1 is the batch; other axes belong to the row."""
    assert joined([np.array(part) for part in parts], shape).tolist() == expected
