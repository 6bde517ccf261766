"""Write responses over REST: JSON, followed by binary tensors if they are requested."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from prepackaged.arrays import Array
from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_writing import ARRAY, dump, dump_array
from prepackaged.server.protocols.v2.contents import content_of, elements_of
from prepackaged.server.protocols.v2.datatypes import BYTES
from prepackaged.server.protocols.v2.outputs import Output
from prepackaged.server.protocols.v2.requests import LONGEST_KEPT, InferRequest
from prepackaged.server.protocols.v2.tensors import cut_name

NARROW = (np.dtype(np.float32), np.dtype(np.float16))  # orjson writes their shortest digits


def head_of(name: str, version: str) -> bytes:
    """The common beginning of a model's responses."""
    return b'{"model_name":%b,"model_version":%b' % (dump(name), dump(version))


def encode(
    head: bytes, request: InferRequest, outputs: Sequence[Output], tags: dict[str, Any]
) -> tuple[bytes, int | None]:
    """The body of a response, and the number of bytes of its JSON; None if it is only JSON.

    Raises `ClientError` for bytes that JSON cannot represent, and `ModelError` for other results
    that it cannot represent.
    """
    parts, binary = [head], []
    if request.id:
        parts += (b',"id":', dump(request.id))
    if tags:
        parts += (b',"parameters":', dump(tags))
    separator = b',"outputs":['
    for output in outputs:
        name = output.name
        about = _about if len(name) <= LONGEST_KEPT else _about.__wrapped__
        start = about(name, output.datatype.name, output.array.shape)
        if is_binary(output, request):
            binary.append(content_of(output))
            size = b'"parameters":{"binary_data_size":%d}}' % len(binary[-1])
            parts += (separator, start, size)
        else:
            parts += (separator, start, b'"data":', _data(output), b"}")
        separator = b","
    parts.append(b"]}")
    text = b"".join(parts)
    return (b"".join([text, *binary]), len(text)) if any(binary) else (text, None)


@lru_cache(256)
def _about(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """The JSON of an output before its values."""
    return b'{"name":%b,"datatype":"%b","shape":%b,' % (
        dump(name),
        datatype.encode(),
        dump(list(shape)),
    )


def is_binary(output: Output, request: InferRequest) -> bool:
    """Whether an output is binary: by its own parameter, else by the request's."""
    asked = output.asked
    return request.is_binary if asked is None or asked.is_binary is None else asked.is_binary


def _data(output: Output) -> bytes:
    if output.datatype is BYTES:
        return _texts(output)
    return _numbers(output.array.ravel())


def _numbers(array: Array) -> bytes:
    if array.dtype in NARROW:
        return orjson.dumps(np.ascontiguousarray(array), option=ARRAY)
    return dump_array(array)


def _texts(output: Output) -> bytes:
    if output.is_base64:
        return dump([element.decode() for element in elements_of(output)])
    values = output.array.ravel().tolist()
    try:
        return dump([value.decode() if isinstance(value, bytes) else value for value in values])
    except UnicodeDecodeError as error:
        raise ClientError(
            f"output {cut_name(output.name)!r} has bytes that are not UTF-8, which JSON cannot"
            " hold: ask for it with the parameter binary_data true or content_type base64"
        ) from error
