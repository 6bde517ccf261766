import struct
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from seldon_core.proto.tensorflow.core.framework import types_pb2
from seldon_core.proto.tensorflow.core.framework.tensor_pb2 import TensorProto

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.protocols.seldon.tftensor import decode, encode

# From TensorFlow's documentation and tensor.proto: the dtype, its name in numpy, its code in
# Python's struct module, and the field for unpacked values.
FORMATS = [
    ("DT_HALF", "float16", "e", "half_val"),
    ("DT_FLOAT", "float32", "f", "float_val"),
    ("DT_DOUBLE", "float64", "d", "double_val"),
    ("DT_INT8", "int8", "b", "int_val"),
    ("DT_INT16", "int16", "h", "int_val"),
    ("DT_INT32", "int32", "i", "int_val"),
    ("DT_INT64", "int64", "q", "int64_val"),
    ("DT_UINT8", "uint8", "B", "int_val"),
    ("DT_UINT16", "uint16", "H", "int_val"),
    ("DT_UINT32", "uint32", "I", "uint32_val"),
    ("DT_UINT64", "uint64", "Q", "uint64_val"),
    ("DT_BOOL", "bool", "?", "bool_val"),
]
HALVES = {0: 0, 1: 0x3C00}  # their bit patterns in IEEE 754 half precision


def tensor(dtype: str, shape: list[int], **values: Any) -> Any:
    """Build a TensorProto."""
    proto = TensorProto(dtype=types_pb2.DataType.Value(dtype), **values)
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def refusal(proto: Any) -> str:
    """Return the error message for an invalid tensor."""
    with pytest.raises(ClientError) as caught:
        decode(proto)
    return str(caught.value)


@pytest.mark.parametrize(("dtype", "name", "code", "_field"), FORMATS)
def test_packed_content_is_read(dtype: str, name: str, code: str, _field: str) -> None:
    """The tensor_content field holds the values in little-endian order."""
    content = struct.pack(f"<4{code}", 0, 1, 1, 0)

    array = decode(tensor(dtype, [2, 2], tensor_content=content))

    assert (array.dtype.name, array.tolist()) == (name, [[0, 1], [1, 0]])


@pytest.mark.parametrize(("dtype", "name", "_code", "field"), FORMATS)
def test_listed_values_are_read(dtype: str, name: str, _code: str, field: str) -> None:
    """Unpacked values are read from the field of their dtype."""
    one = HALVES[1] if dtype == "DT_HALF" else 1

    array = decode(tensor(dtype, [3], **{field: [one, 0, one]}))

    assert (array.dtype.name, array.tolist()) == (name, [1, 0, 1])


@pytest.mark.parametrize(("dtype", "name", "_code", "field"), FORMATS)
def test_the_last_value_is_repeated(dtype: str, name: str, _code: str, field: str) -> None:
    """If there are fewer values than the shape needs, the last one is repeated."""
    one = HALVES[1] if dtype == "DT_HALF" else 1

    array = decode(tensor(dtype, [2, 2], **{field: [0, one]}))

    assert (array.dtype.name, array.tolist()) == (name, [[0, 1], [1, 1]])


@pytest.mark.parametrize(("dtype", "name", "_code", "_field"), FORMATS)
def test_a_tensor_without_values_is_zeros(dtype: str, name: str, _code: str, _field: str) -> None:
    """A tensor without values is filled with zeros."""
    array = decode(tensor(dtype, [1, 2]))

    assert (array.dtype.name, array.tolist()) == (name, [[0, 0]])


@pytest.mark.parametrize(
    ("dtype", "name", "field"),
    [
        ("DT_COMPLEX64", "complex64", "scomplex_val"),
        ("DT_COMPLEX128", "complex128", "dcomplex_val"),
    ],
)
def test_complex_values_are_pairs(dtype: str, name: str, field: str) -> None:
    """Complex values are pairs of a real and an imaginary part."""
    array = decode(tensor(dtype, [3], **{field: [1, 2, 3, 4]}))

    assert (array.dtype.name, array.tolist()) == (name, [1 + 2j, 3 + 4j, 3 + 4j])


def test_a_half_is_its_sixteen_bits() -> None:
    """The half_val field holds bit patterns: 0x3E00 is 1.5, and 0xFC00 is minus infinity."""
    array = decode(tensor("DT_HALF", [2], half_val=[0x3E00, 0xFC00]))

    assert array.tolist() == [1.5, -np.inf]


def test_texts_are_objects_of_bytes() -> None:
    """DT_STRING is read as an object array of bytes, and its last value is repeated too."""
    array = decode(tensor("DT_STRING", [3], string_val=[b"a\0", b"long"]))

    assert (array.dtype, array.tolist()) == (object, [b"a\0", b"long", b"long"])
    assert decode(tensor("DT_STRING", [1])).tolist() == [b""]


def test_a_tensor_without_dimensions_is_one_value() -> None:
    """A tensor without dimensions is a scalar."""
    array = decode(tensor("DT_FLOAT", [], float_val=[0.5]))

    assert (array.shape, array.tolist()) == ((), 0.5)


def test_any_byte_but_zero_is_true() -> None:
    """Any nonzero byte of a DT_BOOL is normalised to 1."""
    array = decode(tensor("DT_BOOL", [3], tensor_content=b"\x00\x02\xff"))

    assert array.view(np.uint8).tolist() == [0, 1, 1]


def test_decoded_arrays_are_writeable() -> None:
    """A decoded array is writeable, since a model may change its input in place."""
    array = decode(tensor("DT_INT8", [2], tensor_content=b"\x01\x02"))

    array += 1

    assert array.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("proto", "told"),
    [
        (
            tensor("DT_BFLOAT16", [1]),
            "expected tftensor in a dtype that numpy has, got DT_BFLOAT16",
        ),
        (tensor("DT_QINT8", [1]), "expected tftensor in a dtype that numpy has, got DT_QINT8"),
        (
            tensor("DT_FLOAT_REF", [1]),
            "expected tftensor in a dtype that numpy has, got DT_FLOAT_REF",
        ),
        (TensorProto(), "expected tftensor in a dtype that numpy has, got DT_INVALID"),
        (TensorProto(dtype=999), "expected tftensor in a dtype that numpy has, got 999"),
        (
            tensor("DT_INT32", [2], tensor_content=b"1234567"),
            "expected tensor_content as values of int32, got 7 bytes",
        ),
        (
            tensor("DT_STRING", [1], tensor_content=b"a"),
            "expected tensor_content as values of object, got 1 bytes",
        ),
        (
            tensor("DT_INT8", [3], tensor_content=b"\x01"),
            "expected as many values as shape [3] holds, got 1",
        ),
        (
            tensor("DT_INT8", [1], int_val=[1, 2]),
            "expected as many values as shape [1] holds, got 2",
        ),
        (
            tensor("DT_INT8", [-1], int_val=[1]),
            "expected shape as whole numbers from 0, got [-1]",
        ),
        (
            tensor("DT_INT8", [-1, -1], int_val=[1]),
            "expected shape as whole numbers from 0, got [-1, -1]",
        ),
        (
            tensor("DT_INT8", [2**40], int_val=[1]),
            "expected at most 4194304 values if one is repeated, got 1099511627776",
        ),
        (
            tensor("DT_DOUBLE", [2**62, 2**62]),
            f"expected at most 4194304 values if one is repeated, got {2**124}",
        ),
        (
            tensor("DT_INT8", [0, 2**40]),
            "expected a shape of reasonable size, got [0, 1099511627776]",
        ),
        (tensor("DT_INT8", [1], int_val=[128]), "expected values of int8, got 128"),
        (tensor("DT_UINT8", [1], int_val=[-1]), "expected values of uint8, got -1"),
        (tensor("DT_HALF", [1], half_val=[65536]), "expected values of uint16, got 65536"),
        (
            tensor("DT_COMPLEX64", [1], scomplex_val=[1]),
            "expected complex values as pairs, got an odd number of values",
        ),
    ],
)
def test_the_error_for_a_wrong_tensor_says_what_was_expected(proto: Any, told: str) -> None:
    """The error names what was expected, before memory for the declared shape is allocated."""
    assert refusal(proto) == told


def test_an_unknown_rank_is_refused() -> None:
    """A tensor of unknown rank is refused."""
    proto = tensor("DT_INT8", [], int_val=[1])
    proto.tensor_shape.unknown_rank = True

    assert refusal(proto) == "expected tftensor with a known shape, got unknown_rank"


@given(st.binary(max_size=40) | st.binary(max_size=4).map(lambda end: b"\x08\x09\x12\x00" + end))
def test_any_message_is_decoded_or_refused(wire: bytes) -> None:
    """Any message is either decoded or refused with a ClientError."""
    proto = TensorProto()
    try:
        proto.ParseFromString(wire)
        array = decode(proto)
    except (DecodeError, ClientError):
        return
    assert array.shape == tuple(each.size for each in proto.tensor_shape.dim)


def test_an_array_is_encoded_like_tensorflow_encodes_it() -> None:
    """An array is encoded with its dtype, its shape and its values in little-endian order."""
    proto = encode(np.array([[1.5, 2.5]], np.float32))

    assert proto == tensor("DT_FLOAT", [1, 2], tensor_content=struct.pack("<2f", 1.5, 2.5))


NUMBERS = (
    hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(endianness="?", sizes=(64, 128))
)


@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3)))
def test_encoded_arrays_are_decoded_to_the_same(array: np.ndarray[Any, Any]) -> None:
    """Encoding and decoding preserves values, shape and dtype, whatever the byte order."""
    again = decode(encode(array))

    assert again.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again, array)
    assert again.shape == array.shape


def test_a_dtype_that_tensorflow_lacks_is_the_authors_fault() -> None:
    """The error for a dtype without an equivalent in TensorFlow names the dtype."""
    with pytest.raises(ModelError) as caught:
        encode(np.zeros(1, np.longdouble))

    told = f"predict returned an array of {np.dtype(np.longdouble)}; tftensor has no such dtype"
    assert str(caught.value) == told
