from typing import Any

import numpy as np
import orjson
import pytest

from prepackaged.arrays import from_lists, list_by_row
from prepackaged.server.protocols.seldon.json_reader import read_prediction

ID = 1623456789012345679


@pytest.mark.parametrize("rows", [[[2**63, 0]], [[1], [2**64 - 1]]])
def test_whole_numbers_beyond_int64_are_unsigned(rows: Any) -> None:
    """Also if not all of them are so large, where numpy would choose floats."""
    array = from_lists(rows)
    assert array.dtype == np.uint64
    assert array.tolist() == rows


@pytest.mark.parametrize(
    "rows",
    [
        [[ID, 0.5]],
        [[0.5, -ID]],
        [[2**53 + 1, 2.0]],
        [[2**64 - 1, -1]],
        [[ID, True, 0.5]],
        [[[ID], [0.5]]],
        [[ID, float("inf")]],
        [[10**400, 0.5]],
        [[10**400, 1]],
    ],
)
def test_a_whole_number_beside_fractions_stays_exact(rows: Any) -> None:
    """Integers that a float would round are kept exactly, in an object array."""
    array = from_lists(rows)
    assert array.dtype == object
    assert array.tolist() == rows
    assert list(map(type, array.flat)) == list(map(type, np.array(rows, dtype=object).flat))


@pytest.mark.parametrize(
    ("rows", "dtype"),
    [
        ([[ID, 2]], "int64"),
        ([[2**63, 2**63 + 1]], "uint64"),
        ([[2**53, 0.5]], "float64"),
        ([[1e300, 0.5]], "float64"),
        ([[2**60, 0.5]], "float64"),
        ([[float("inf"), 2]], "float64"),
        ([[0.5, 2]], "float64"),
        ([[True, False]], "bool"),
    ],
)
def test_other_numbers_have_numpys_usual_dtype(rows: Any, dtype: str) -> None:
    """Other numbers get numpy's usual dtype, if no value changes."""
    array = from_lists(rows)
    assert array.dtype == dtype
    assert array.tolist() == rows


@pytest.mark.parametrize("kind", ["ndarray", "tensor"])
def test_a_large_request_is_as_exact_as_a_small_one(kind: str) -> None:
    """The fast parser for large requests leaves inexact values to the exact one."""
    rows = [[ID, 0.5]] * 1000
    values = {"shape": [1000, 2], "values": [ID, 0.5] * 1000}
    body = orjson.dumps({"data": {"ndarray": rows} if kind == "ndarray" else {"tensor": values}})
    data = read_prediction(body)["data"]
    assert (data["ndarray"] if kind == "ndarray" else data["tensor"]) == (
        rows if kind == "ndarray" else values
    )


def test_lists_of_any_length_are_values_of_an_array() -> None:
    """Each list becomes one element of an object array, also if all lengths are equal."""
    for rows in ([[1, 2], [3, 4]], [[1], [2, 3]], [[], []], []):
        array = list_by_row(rows)
        assert array.shape == (len(rows),)
        assert array.tolist() == rows


@pytest.mark.parametrize("rows", [[["a\0"]], [["\0", "a"]], [["a", "b\0\0"]]])
def test_a_text_keeps_its_trailing_nuls(rows: Any) -> None:
    """Texts that end with NUL are unchanged, in an object array: numpy's texts lose them."""
    array = from_lists(rows)
    assert array.dtype == object
    assert array.tolist() == rows
