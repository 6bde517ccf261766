import json
from typing import Any

import numpy as np
import pytest

from prepackaged.tensor_answers import printable

PNG = b"\x89PNG\r\n\x1a\n\0"
PNG_IN_JSON = {"b64": "iVBORw0KGgoA"}


def objects(*values: Any) -> Any:
    """Build an object array, whose elements may be lists."""
    array = np.empty(len(values), object)
    for number, value in enumerate(values):
        array[number] = value
    return array


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
def test_numeric_arrays_are_returned_without_a_copy(dtype: str) -> None:
    """Numeric arrays are returned without a copy."""
    array = np.zeros((2, 3), dtype)
    assert printable("y", array) is array


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (objects(b"cat", "köszönöm".encode()), ["cat", "köszönöm"]),
        (objects("cat", None), ["cat", None]),
        (np.array([[b"a"], [b"b"]]), [["a"], ["b"]]),
        (objects(PNG, b"cat"), [PNG_IN_JSON, "cat"]),
        (objects([b"a", [b"b"]], []), [["a", ["b"]], []]),
        (objects([PNG]), [[PNG_IN_JSON]]),
        (np.array(b"cat", dtype=object), "cat"),
        (np.array(PNG, dtype=object), PNG_IN_JSON),
    ],
)
def test_text_is_text_and_other_bytes_are_base64(array: Any, expected: Any) -> None:
    """UTF-8 bytes are returned as text and other bytes as Base64 objects, in ragged arrays too."""
    assert json.loads(json.dumps(printable("y", array).tolist())) == expected


def test_outputs_named_with_the_suffix_bytes_are_base64() -> None:
    """An output whose name ends with _bytes is always Base64, as in TensorFlow Serving."""
    answer = printable("image_bytes", objects(b"hi", PNG, [b"hi"]))
    assert answer.tolist() == [{"b64": "aGk="}, PNG_IN_JSON, [{"b64": "aGk="}]]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_pairs(dtype: str) -> None:
    """Complex numbers become pairs of real and imaginary parts on a new last axis."""
    answer = printable("spectrum", np.array([[1 + 2j, -0.5j]], dtype))
    assert answer.tolist() == [[[1.0, 2.0], [0.0, -0.5]]]
    assert printable("y", np.array(1 + 2j, dtype)).tolist() == [1.0, 2.0]
    assert printable("y", objects([1 + 2j])).tolist() == [[[1.0, 2.0]]]
