"""Binary tensors: the bytes of values in row-major order, little-endian, without padding.

An element of BYTES is its length in four bytes, then its bytes. The format is the same over REST
(binary tensor data extension) and in gRPC's `raw_input_contents`.
"""

import math
from collections.abc import Iterable, Sequence
from struct import Struct

import numpy as np

from prepackaged.arrays import Array, list_by_row
from prepackaged.errors import ClientError
from prepackaged.server.protocols.shapes import shown_shape
from prepackaged.server.protocols.v2.datatypes import BF16, BYTES, Datatype

LENGTH = Struct("<I")

Buffer = bytes | memoryview


def read(content: Buffer, datatype: Datatype, shape: Sequence[int]) -> Array:
    """Copy the values to an aligned, writable array.

    BYTES become bytes objects. Raises `ClientError` if the number of values does not fit the shape.
    """
    count = math.prod(shape)
    if datatype is BYTES:
        return _elements(content, count, shape)
    size = 2 if datatype is BF16 else datatype.dtype.itemsize
    if len(content) != count * size:
        raise ClientError(
            f"expected {count * size} bytes for {datatype.name} of shape {shown_shape(shape)},"
            f" got {len(content)}"
        )
    if datatype is BF16:
        return _widened(content).reshape(shape)
    if datatype.dtype.kind == "b":
        flags: Array = np.frombuffer(content, np.uint8) != 0
        return flags.reshape(shape)
    return np.frombuffer(content, datatype.dtype).reshape(shape).copy()


def _widened(content: Buffer) -> Array:
    halves = np.frombuffer(content, "<u2").astype("<u4")
    floats: Array = (halves << 16).view("<f4")
    return floats


def _elements(content: Buffer, count: int, shape: Sequence[int]) -> Array:
    view, end, at = memoryview(content), len(content), 0
    elements: list[bytes] = []
    while at + LENGTH.size <= end and len(elements) < count:
        start = at + LENGTH.size
        at = start + LENGTH.unpack_from(view, at)[0]
        elements.append(bytes(view[start:at]))
    if at != end or len(elements) != count:
        raise ClientError(
            f"expected {count} elements of BYTES for shape {shown_shape(shape)}, each a length of"
            f" 4 bytes and then as many bytes, got {end} bytes that do not match"
        )
    return list_by_row(elements).reshape(shape)


def write(array: Array, datatype: Datatype) -> bytes:
    """The bytes of an array of numbers; for text and bytes, see `write_elements`."""
    return np.ascontiguousarray(array, datatype.dtype).tobytes()


def write_elements(elements: Iterable[bytes]) -> bytes:
    """The bytes of a tensor of BYTES."""
    parts: list[bytes] = []
    for element in elements:
        parts += (LENGTH.pack(len(element)), element)
    return b"".join(parts)
