"""The datatypes of the Open Inference Protocol and their numpy dtypes.

Reference: open-inference-protocol, specification/protocol/inference_rest.md, "Tensor Data Types";
BF16 is Triton's.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from prepackaged.arrays import Array
from prepackaged.signature import TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class Datatype:
    """A datatype: its dtype in binary tensors, and its field in gRPC's contents.

    `field` is a field of InferTensorContents, empty if there is none. `plain` is the Python type
    that represents the values exactly.
    """

    name: str
    dtype: np.dtype[Any]
    field: str = ""
    plain: type | None = None


OBJECT = np.dtype(object)
_ALL = (
    Datatype("BOOL", np.dtype(bool), "bool_contents", bool),
    Datatype("UINT8", np.dtype("u1"), "uint_contents"),
    Datatype("UINT16", np.dtype("<u2"), "uint_contents"),
    Datatype("UINT32", np.dtype("<u4"), "uint_contents"),
    Datatype("UINT64", np.dtype("<u8"), "uint64_contents"),
    Datatype("INT8", np.dtype("i1"), "int_contents"),
    Datatype("INT16", np.dtype("<i2"), "int_contents"),
    Datatype("INT32", np.dtype("<i4"), "int_contents"),
    Datatype("INT64", np.dtype("<i8"), "int64_contents", int),
    Datatype("FP16", np.dtype("<f2")),
    Datatype("BF16", np.dtype("<f4")),  # numpy has none: the upper half of a float32
    Datatype("FP32", np.dtype("<f4"), "fp32_contents"),
    Datatype("FP64", np.dtype("<f8"), "fp64_contents", float),
    Datatype("BYTES", OBJECT, "bytes_contents", str),
)
DATATYPES: Final = {each.name: each for each in _ALL}
BYTES: Final = DATATYPES["BYTES"]
BF16: Final = DATATYPES["BF16"]
_BY_DTYPE = {each.dtype: each for each in _ALL if each is not BF16}


@lru_cache(256)
def spec_of(name: str, datatype: Datatype) -> TensorSpec:
    """The declaration of a tensor as a `TensorSpec`, to cast its values."""
    return TensorSpec(name, datatype.dtype)


def datatype_of(array: Array) -> Datatype:
    """The datatype for an array in a response: the same width, or BYTES if it is not numeric.

    Floats wider than 64 bits become FP64.
    """
    known = _BY_DTYPE.get(array.dtype)
    if known:
        return known
    if array.dtype.kind in "biu":
        return _BY_DTYPE[array.dtype.newbyteorder("<")]
    if array.dtype.kind == "f":
        return _BY_DTYPE.get(array.dtype.newbyteorder("<"), DATATYPES["FP64"])
    return BYTES
