"""Convert bfloat16, which numpy lacks, to float32 and back."""

import ctypes
from typing import Any

import numpy as np
from onnxruntime import OrtValue

from prepackaged.arrays import Array
from prepackaged.tensor_values import check_range

NAME = "bfloat16"
NUMBER = 16  # BFLOAT16 in TensorProto.DataType
NOT_A_NUMBER = 0x7FC0
LARGEST = (2 - 2**-7) * 2.0**127


def from_float32(name: str, array: Array) -> OrtValue:
    """Convert float32 numbers to bfloat16, rounded to nearest, ties to even; NaN stays NaN.

    Raises `ClientError` for numbers of the input `name` that bfloat16 would round to infinity.
    """
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    with np.errstate(over="ignore"):  # for NaN, which is replaced below
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    halves = np.where(np.isnan(array), NOT_A_NUMBER, rounded).astype(np.uint16)
    check_range(name, array, _as_float32(halves), NAME, (-LARGEST, LARGEST))
    return OrtValue.ortvalue_from_numpy_with_onnx_type(halves, NUMBER)


def to_array(value: OrtValue) -> Any:
    """Convert an output of onnxruntime to an array, bfloat16 to float32."""
    if value.data_type() != f"tensor({NAME})":
        return value.numpy()
    shape = value.shape()
    content = ctypes.string_at(value.data_ptr(), 2 * int(np.prod(shape)))
    return _as_float32(np.frombuffer(content, np.uint16)).reshape(shape)


def _as_float32(halves: Array) -> Array:
    return (halves.astype(np.uint32) << 16).view(np.float32)
