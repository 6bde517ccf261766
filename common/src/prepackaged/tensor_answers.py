"""Convert outputs of a framework to values that JSON and protobuf can express.

Text becomes str. Bytes that are not text, and bytes of outputs whose name ends with `_bytes`,
become `{"b64": "..."}`, both as in TensorFlow Serving's REST API. A complex number becomes a pair
of its real and imaginary part, on an additional last axis.
"""

from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.b64 import encode_b64

BYTES_SUFFIX = "_bytes"


def printable(name: str, array: Array) -> Array:
    """Convert the output `name` to values that JSON and protobuf can express."""
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], axis=-1)
    if array.dtype.kind not in "OS":
        return array
    is_binary = name.endswith(BYTES_SUFFIX)
    values = np.empty(array.shape, dtype=object)
    for place, value in np.ndenumerate(array):
        values[place] = _printable(value, is_binary=is_binary)
    return values


def _printable(value: Any, *, is_binary: bool) -> Any:
    if isinstance(value, list):
        return [_printable(each, is_binary=is_binary) for each in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    if not isinstance(value, bytes):
        return value
    try:
        return encode_b64(value) if is_binary else value.decode()
    except UnicodeDecodeError:
        return encode_b64(value)
