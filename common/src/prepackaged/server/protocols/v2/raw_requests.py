"""Requests whose body is the tensor itself, as `curl --data-binary @cat.jpg` sends it.

They have `Inference-Header-Content-Length: 0` (Triton's "raw binary request"). The model must have
one input with at most one free size besides the batch, and the body is one row. For an input of
BYTES, the body is one element without its length; for a model that accepts images, it is an image.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prepackaged.errors import ClientError
from prepackaged.images import SIGNATURES
from prepackaged.server.protocols.shapes import shown_shape
from prepackaged.server.protocols.v2.datatypes import BYTES, DATATYPES
from prepackaged.server.protocols.v2.requests import Message
from prepackaged.server.protocols.v2.tensors import Tensor, label_of

FREE = -1
BINARY = {"binary_data_output": True}
Entry = Mapping[str, Any]


def read(body: bytes, inputs: Sequence[Entry], *, is_binary: bool) -> Message:
    """The message with a body as the single input of a model; `inputs` are from its metadata.

    `is_binary` requests a binary response instead of JSON. Raises `ClientError` for a body of the
    wrong size, or for a model without such an input.
    """
    if len(inputs) != 1:
        raise ClientError(
            "expected Inference-Header-Content-Length of at least 1: a body that is a tensor alone"
            f" needs a model of one known input, and this one has {len(inputs)}"
        )
    return Message([_tensor(body, inputs[0])], parameters=BINARY if is_binary else {})


def _tensor(body: bytes, entry: Entry) -> Tensor:
    name, datatype = entry["name"], DATATYPES[entry["datatype"]]
    shape = [1 if size == FREE else size for size in entry["shape"][:1]] + entry["shape"][1:]
    one = math.prod(size for size in shape if size != FREE) * datatype.dtype.itemsize
    frees = shape.count(FREE)
    is_whole = len(body) == one or (frees == 1 and one > 0 and len(body) % one == 0)
    if datatype is not BYTES and frees < 2 and body and is_whole:
        sizes = [len(body) // one if size == FREE else size for size in shape]
        return Tensor(name, datatype, sizes, content=body)
    if datatype is BYTES or body.startswith(SIGNATURES):
        return Tensor(name, BYTES, [1], [body])
    raise ClientError(
        f"{label_of(name)}: expected a body of {datatype.name} values for one row of shape"
        f" {shown_shape(entry['shape'])}, got {len(body)} bytes"
    )
