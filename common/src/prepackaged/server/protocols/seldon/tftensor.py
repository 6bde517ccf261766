"""Convert TensorFlow's TensorProto to arrays and back, without TensorFlow."""

import math
from typing import Any

import numpy as np
from seldon_core.proto.tensorflow.core.framework import types_pb2
from seldon_core.proto.tensorflow.core.framework.tensor_pb2 import TensorProto

from prepackaged.arrays import DEEPEST, Array
from prepackaged.errors import ClientError, ResultError
from prepackaged.server.protocols.shapes import shaped

LARGEST_REPEATED = 2**22  # the most elements of a tensor whose last value is repeated

# For each DataType, the dtype and the field for values that are not in tensor_content.
TYPES: dict[int, tuple[np.dtype[Any], str]] = {
    types_pb2.DT_HALF: (np.dtype("<f2"), "half_val"),
    types_pb2.DT_FLOAT: (np.dtype("<f4"), "float_val"),
    types_pb2.DT_DOUBLE: (np.dtype("<f8"), "double_val"),
    types_pb2.DT_COMPLEX64: (np.dtype("<c8"), "scomplex_val"),
    types_pb2.DT_COMPLEX128: (np.dtype("<c16"), "dcomplex_val"),
    types_pb2.DT_INT8: (np.dtype("i1"), "int_val"),
    types_pb2.DT_INT16: (np.dtype("<i2"), "int_val"),
    types_pb2.DT_INT32: (np.dtype("<i4"), "int_val"),
    types_pb2.DT_INT64: (np.dtype("<i8"), "int64_val"),
    types_pb2.DT_UINT8: (np.dtype("u1"), "int_val"),
    types_pb2.DT_UINT16: (np.dtype("<u2"), "int_val"),
    types_pb2.DT_UINT32: (np.dtype("<u4"), "uint32_val"),
    types_pb2.DT_UINT64: (np.dtype("<u8"), "uint64_val"),
    types_pb2.DT_BOOL: (np.dtype("?"), "bool_val"),
    types_pb2.DT_STRING: (np.dtype("O"), "string_val"),
}
CODES = {dtype: code for code, (dtype, _) in TYPES.items() if dtype.kind != "O"}


def decode(tensor: Any) -> Array:
    """The tensor as an array like that of `tf.make_ndarray`; strings are bytes objects.

    Raises `ClientError` for a dtype that numpy lacks, or for values that do not fit dtype and
    shape.
    """
    if tensor.dtype not in TYPES:
        raise ClientError(f"expected tftensor in a dtype that numpy has, got {_name(tensor.dtype)}")
    if tensor.tensor_shape.unknown_rank:
        raise ClientError("expected tftensor with a known shape, got unknown_rank")
    dtype, field = TYPES[tensor.dtype]
    sizes = tensor.tensor_shape.dim
    if len(sizes) > DEEPEST:
        raise ClientError(f"expected a shape of at most {DEEPEST} sizes, got {len(sizes)}")
    shape = [int(dimension.size) for dimension in sizes]
    if tensor.tensor_content:
        return shaped(_packed(tensor.tensor_content, dtype), shape)
    return shaped(_repeated(_listed(getattr(tensor, field), dtype), math.prod(shape)), shape)


def encode(array: Array) -> Any:
    """A numeric array as a tensor. Raises `ResultError` for a dtype that TensorFlow lacks."""
    dtype = array.dtype.newbyteorder("<")
    if dtype not in CODES:
        raise ResultError(f"an array of {array.dtype}; tftensor has no such dtype")
    tensor = TensorProto(dtype=CODES[dtype], tensor_content=array.astype(dtype).tobytes())
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _packed(content: bytes, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "O" or len(content) % dtype.itemsize:
        raise ClientError(f"expected tensor_content as values of {dtype}, got {len(content)} bytes")
    if dtype.kind == "b":  # numpy's booleans must have the byte 0 or 1
        return np.frombuffer(content, np.uint8).astype(np.bool)
    return np.frombuffer(content, dtype).copy()


def _listed(field: Any, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "O":
        return np.array(list(field), dtype=object)
    values = np.array(field)
    if dtype.kind == "c":
        if len(values) % 2:
            raise ClientError("expected complex values as pairs, got an odd number of values")
        return values.view(dtype)
    stored = np.dtype("<u2") if dtype.kind == "f" and dtype.itemsize == 2 else dtype
    if dtype.kind in "iu" or stored != dtype:
        _check_range(values, stored)
    return values.astype(stored).view(dtype)


def _check_range(values: Array, dtype: np.dtype[Any]) -> None:
    limits = np.iinfo(dtype)
    outside = values[(values < limits.min) | (values > limits.max)]
    if outside.size:
        raise ClientError(f"expected values of {dtype}, got {outside[0]}")


def _repeated(values: Array, count: int) -> Array:
    """The values, extended to `count` by repeating the last; zeros if there are none."""
    missing = count - len(values)
    if missing <= 0:
        return values
    if count > LARGEST_REPEATED:
        raise ClientError(
            f"expected at most {LARGEST_REPEATED} values if one is repeated, got {count}"
        )
    zero = b"" if values.dtype.kind == "O" else 0
    last = values[-1] if len(values) else zero
    return np.concatenate([values, np.full(missing, last, dtype=values.dtype)])


def _name(code: int) -> str:
    known = types_pb2.DataType.DESCRIPTOR.values_by_number.get(code)
    return known.name if known else str(code)
