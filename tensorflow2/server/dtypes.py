"""Convert arrays to tensors and back, also if numpy or JSON lack TensorFlow's dtype."""

from typing import Any

import numpy as np
import tensorflow as tf

from prepackaged.arrays import Array, list_by_row
from prepackaged.tensor_values import check_range

# For TensorFlow's dtypes, the dtypes of the arrays that stand in for them.
STAND_INS: dict[str, Any] = {"string": bytes, "bfloat16": np.float32} | {
    "complex64": np.float32,  # pairs: see `tensor_answers`
    "complex128": np.float64,
    **dict.fromkeys(("int2", "int4"), np.int8),
    **dict.fromkeys(("uint2", "uint4"), np.uint8),
    **{f"q{name}": name for name in ("int8", "uint8", "int16", "uint16", "int32")},
}


def stand_in(dtype: Any) -> Any:
    """The dtype, known to numpy and JSON, of arrays for tensors of `dtype`."""
    if dtype.name.startswith("float8"):
        return np.float32
    return STAND_INS.get(dtype.name, dtype.as_numpy_dtype)


def is_numpys(dtype: Any) -> bool:
    """Whether numpy itself has TensorFlow's dtype, or the integers of a quantized dtype."""
    return bool(dtype.is_quantized or np.dtype(dtype.as_numpy_dtype).isbuiltin == 1)  # else 2


def check(name: str, array: Array, dtype: Any) -> None:
    """Raise `ClientError` for numbers of the input `name` that are too large for the dtype.

    TensorFlow itself would keep their lowest bits.
    """
    kept = array.astype(dtype.as_numpy_dtype).astype(array.dtype)
    check_range(name, array, kept, dtype.name, (dtype.min, dtype.max))


def to_tensor(array: Array, dtype: Any) -> Any:
    """Convert an array to a tensor; for complex dtypes, the array's last axis has pairs."""
    if dtype.is_complex:
        array = array[..., 0] + 1j * array[..., 1]
    return tf.constant(array, dtype)


def to_array(tensor: Any) -> Array:
    """Convert a tensor to an array; a ragged tensor becomes an object array with a list per row."""
    if isinstance(tensor, tf.SparseTensor):
        tensor = tf.sparse.to_dense(tensor)
    if isinstance(tensor, tf.RaggedTensor):
        return list_by_row(tensor.to_list())
    if tensor.dtype == tf.string:
        return np.array(tensor.numpy(), dtype=object)  # fixed-size strings would lose zero bytes
    array: Array = np.asarray(tensor.numpy())
    return array if is_numpys(tensor.dtype) else array.astype(stand_in(tensor.dtype))
