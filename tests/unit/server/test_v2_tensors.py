import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prepackaged.errors import ClientError
from prepackaged.server.protocols.v2 import raw
from prepackaged.server.protocols.v2.datatypes import DATATYPES, datatype_of
from prepackaged.server.protocols.v2.tensors import Tensor

NUMBERS = [name for name in DATATYPES if name not in ("BYTES", "BF16")]


def tensor(datatype: str, shape: list[int], values: Any = None, **more: Any) -> Tensor:
    """Build an input named x."""
    return Tensor("x", DATATYPES[datatype], shape, values, **more)


def refusal(made: Tensor) -> str:
    """Return the error message for an invalid tensor."""
    with pytest.raises(ClientError) as caught:
        made.array()
    return str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "values", "dtype"),
    [
        ("BOOL", [True, False], "bool"),
        ("BOOL", [1, 0], "bool"),
        ("UINT8", [0, 255], "uint8"),
        ("UINT16", [0, 2**16 - 1], "uint16"),
        ("UINT32", [0, 2**32 - 1], "uint32"),
        ("UINT64", [1, 2**64 - 1], "uint64"),
        ("INT8", [-128, 127], "int8"),
        ("INT16", [-(2**15), 2**15 - 1], "int16"),
        ("INT32", [-(2**31), 2**31 - 1], "int32"),
        ("INT64", [-(2**63), 2**53 + 1], "int64"),
        ("FP16", [0.5, -2.0], "float16"),
        ("FP32", [0.5, -2.0], "float32"),
        ("FP64", [0.1, 1e300], "float64"),
        ("BYTES", ["", "caf\u00e9"], "object"),
    ],
)
def test_values_of_json_keep_their_datatype(datatype: str, values: list[Any], dtype: str) -> None:
    """JSON values are converted to their datatype exactly, also at the ends of its range."""
    array = tensor(datatype, [2], values).array()
    assert (array.dtype, array.tolist()) == (np.dtype(dtype), values)


@pytest.mark.parametrize(
    ("datatype", "sent"),
    [("FP16", 2049), ("FP32", 16777217), ("FP32", -16777219), ("FP32", 0.1), ("FP64", 2**53 + 1)],
)
def test_numbers_are_rounded_to_the_precision_of_a_float(datatype: str, sent: Any) -> None:
    """Numbers in float tensors are rounded to the nearest float, as numpy does."""
    array = tensor(datatype, [1], [sent]).array()
    assert array.tolist() == np.array([sent]).astype(array.dtype).tolist()


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]])
@pytest.mark.parametrize("datatype", ["FP32", "INT64"])
def test_values_are_flat_or_nested_as_the_shape(datatype: str, values: list[Any]) -> None:
    """Values may be flat or nested, both in row-major order."""
    assert tensor(datatype, [2, 3], values).array().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_texts_are_flat_or_nested_too() -> None:
    """Texts may be flat or nested too."""
    for values in (["a", "b"], [["a"], ["b"]]):
        assert tensor("BYTES", [2, 1], values).array().tolist() == [["a"], ["b"]]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_null_is_nan_among_floats(datatype: str) -> None:
    """A null among floats is NaN, as in every server but Triton."""
    first, second = tensor(datatype, [2], [None, 1.0]).array().tolist()
    assert (math.isnan(first), second) == (True, 1.0)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (tensor("UINT8", [1], [300]), "input 'x': expected uint8, got 300 at [0]"),
        (tensor("INT8", [1, 2], [1, -129]), "input 'x': expected int8, got -129 at [0, 1]"),
        (tensor("UINT64", [2], [1, -1]), "input 'x': expected uint64, got -1 at [1]"),
        (tensor("INT64", [1], [1.5]), "input 'x': expected int64, got 1.5 at [0]"),
        (tensor("INT64", [1], [2**63]), f"input 'x': expected int64, got {2**63} at [0]"),
        (tensor("INT32", [1], [None]), "input 'x': expected int32, got null or NaN at [0]"),
        (tensor("BOOL", [2], [0, 2]), "input 'x': expected bool, got 2 at [1]"),
        (tensor("FP32", [1], [1e300]), "input 'x': expected float32, got 1e+300 at [0]"),
        (tensor("FP16", [1], [70000.0]), "input 'x': expected float16, got 70000.0 at [0]"),
        (tensor("FP64", [2], [1, "a"]), "input 'x': expected float64, got 'a' at [1]"),
        (tensor("FP64", [1], ["1.5"]), "input 'x': expected float64, got '1.5' at [0]"),
        (tensor("FP64", [1], [{"a": 1}]), "input 'x': expected float64, got {'a': 1} at [0]"),
        (tensor("BYTES", [2], ["a", 1]), "input 'x': expected a string at [1], got 1"),
        (tensor("BYTES", [2], ["a", None]), "input 'x': expected a string at [1], got null"),
        (tensor("FP32", [2, 4], [1, 2]), "input 'x': expected 8 values for shape [2, 4], got 2"),
        (tensor("BYTES", [3], ["a"]), "input 'x': expected 3 values for shape [3], got 1"),
        (
            tensor("FP32", [3, 2], [[1, 2, 3], [4, 5, 6]]),
            "input 'x': expected shape [3, 2], got lists of [2, 3]",
        ),
        (
            tensor("BYTES", [3, 2], [["a", "b", "c"], ["d", "e", "f"]]),
            ("input 'x': expected lists as shape [3, 2] nests them,"
            " got 2 values in place of a list of 3"),
        ),
        (
            tensor("FP32", [2, 2], [[1, 2], [3]]),
            "input 'x': expected rows of equal length; row 0 has 2 values, row 1 has 1 value",
        ),
        (
            tensor("FP32", [2, 4], [1, 2, 3, 4, 5, [6], 7, 8]),
            "input 'x': expected numbers in flat data, got a list at data[5]",
        ),
        (tensor("FP32", [2**40, 2**40], [1]), (f"input 'x': expected {2**80} values for shape"
         f" [{2**40}, {2**40}], got 1")),
        (
            tensor("INT32", [2], content=b"1234567"),
            "input 'x': expected 8 bytes for INT32 of shape [2], got 7",
        ),
        (
            tensor("BYTES", [2], content=struct.pack("<I", 1) + b"a" + struct.pack("<I", 9)),
            ("input 'x': expected 2 elements of BYTES for shape [2], each a length of 4 bytes and"
            " then as many bytes, got 9 bytes that do not match"),
        ),
    ],
)  # fmt: skip
def test_values_that_a_datatype_cannot_hold_are_refused_with_their_place(
    made: Tensor, text: str
) -> None:
    """Values that do not fit are an error with the place, and never silently truncated."""
    assert refusal(made) == text


def test_long_names_and_values_are_truncated() -> None:
    """Long names and values are truncated in error messages."""
    made = Tensor("n" * 1000, DATATYPES["BYTES"], [2], ["a", ["b" * 1000]])
    assert len(refusal(made)) < 200


@pytest.mark.parametrize(
    "elements", [[b"a\0b", b"", b"\xff\xfe"], [b""], [b"\0\0"], [b"x" * 70000, b"y"]]
)
def test_elements_of_bytes_are_exact_in_binary(elements: list[bytes]) -> None:
    """Binary BYTES elements are exact, with NUL, without UTF-8, empty or long."""
    content = b"".join(struct.pack("<I", len(each)) + each for each in elements)
    array = tensor("BYTES", [len(elements)], content=content).array()
    assert array.tolist() == elements
    assert raw.write_elements(elements) == content


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\0\0\0\0", b"\0\0\0\0" * 3, b"\xff\xff\xff\xff" * 2, b"\1\0\0\0a\0\0\0"],
)
def test_elements_that_do_not_fill_the_shape_are_refused(content: bytes) -> None:
    """Binary BYTES that are truncated or do not fit the shape are refused."""
    assert refusal(tensor("BYTES", [2], content=content)).startswith(
        "input 'x': expected 2 elements of BYTES for shape [2]"
    )


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_a_binary_tensor_equals_numpy_s_bytes(array: Any) -> None:
    """Binary tensors are little-endian and in row-major order, and a decoded one is writeable."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        return
    datatype = datatype_of(array)
    content = raw.write(array, datatype)
    little = array.dtype.newbyteorder("<")
    assert content == np.ascontiguousarray(array, little).tobytes()
    back = raw.read(memoryview(b"?" + content)[1:], datatype, array.shape)
    assert (back.dtype, back.shape) == (little, array.shape)
    assert back.tobytes() == content
    assert (back.flags.writeable, back.flags.aligned) == (True, True)


def test_bf16_is_the_upper_half_of_a_float() -> None:
    """BF16, a datatype of Triton that numpy lacks, is read as float32."""
    content = np.array([1.5, -2.0], "<f4").view("<u2")[1::2].tobytes()
    array = tensor("BF16", [2], content=content).array()
    assert (array.dtype, array.tolist()) == (np.float32, [1.5, -2.0])


def test_a_byte_other_than_0_is_true() -> None:
    """Any nonzero byte of a binary BOOL is normalised to 1."""
    array = tensor("BOOL", [3], content=b"\0\1\7").array()
    assert (array.tolist(), array.view(np.uint8).tolist()) == ([False, True, True], [0, 1, 1])


@pytest.mark.parametrize("datatype", NUMBERS)
def test_a_tensor_of_no_rows_is_legal(datatype: str) -> None:
    """A tensor without rows is valid with an empty list, without data and in binary."""
    for made in (
        tensor(datatype, [0, 4], []),
        tensor(datatype, [0, 4]),
        tensor(datatype, [0, 4], content=b""),
    ):
        assert made.array().shape == (0, 4)


@given(st.lists(st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.none() | st.text()))
def test_any_json_value_is_cast_exactly_or_refused(values: list[Any]) -> None:
    """Any JSON value is converted exactly or refused, for every datatype."""
    for name in NUMBERS:
        try:
            array = tensor(name, [len(values)], values).array()
        except ClientError:
            continue
        for sent, value in zip(values, array.tolist(), strict=True):
            if sent is None or sent != sent:
                assert value != value
            elif name.startswith("FP"):
                assert value == pytest.approx(float(sent), rel=1e-2, abs=1e-7)
            else:
                assert value == sent
