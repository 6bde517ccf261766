"""Convert bfloat16, which numpy lacks, to float32 and back."""

import ctypes
from typing import Any

import numpy as np
from onnxruntime import OrtValue

from prepackaged.arrays import Array

NAME = "bfloat16"
NUMBER = 16  # BFLOAT16 in TensorProto.DataType
NOT_A_NUMBER = 0x7FC0


def from_float32(array: Array) -> OrtValue:
    """Convert float32 numbers to bfloat16, rounded to nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    with np.errstate(over="ignore"):  # for NaN, which is replaced below
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    halves = np.where(np.isnan(array), NOT_A_NUMBER, rounded).astype(np.uint16)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(halves, NUMBER)


def to_array(value: OrtValue) -> Any:
    """Convert an output of onnxruntime to an array, bfloat16 to float32."""
    if value.data_type() != f"tensor({NAME})":
        return value.numpy()
    shape = value.shape()
    content = ctypes.string_at(value.data_ptr(), 2 * int(np.prod(shape)))
    halves = np.frombuffer(content, np.uint16).astype(np.uint32)
    return (halves << 16).view(np.float32).reshape(shape)
