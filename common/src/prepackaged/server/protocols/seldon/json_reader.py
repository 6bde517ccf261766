"""From JSON to the message that `json_codec.decode` takes.

Large arrays of numbers go straight into numpy's memory.
"""

from typing import Any

import numpy as np
import simdjson

from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import (
    LARGE,
    array_of,
    members,
    parser_for,
    plain,
    read_json,
)


def read_body(body: bytes) -> Any:
    """The JSON value that is a request's body; null is none. Raises `ClientError`."""
    message = read_json(body)
    if message is None:
        raise ClientError("Can't find JSON in data: it is null")
    return message


def read_prediction(body: bytes) -> Any:
    """As `read_body`, except that the numbers in `data` may already be an array."""
    if len(body) >= LARGE and b'"data"' in body:
        try:
            return _with_array(body)
        except (ValueError, TypeError, LookupError, RuntimeError):
            pass  # whatever it is: what follows reads it, or says what is wrong with it
    return read_body(body)


def _with_array(body: bytes) -> dict[str, Any]:
    """A message whose `data` holds nothing but numbers; errors of any kind for all others."""
    message = members(parser_for(body).parse(body))
    data = members(message.pop("data"))
    is_tensor = "tensor" in data
    tensor = members(data.pop("tensor")) if is_tensor else {}
    holder, key = (tensor, "values") if is_tensor else (data, "ndarray")
    array = array_of(holder.pop(key))
    parts = (message, data, tensor)
    lists = sum(isinstance(value, simdjson.Array) for part in parts for value in part.values())
    # A list among the numbers would have been taken for what is in it.
    if body.count(b"[") != lists + 1 + sum(np.cumprod(array.shape[:-1], dtype=int)):
        raise ValueError("lists where none belong")
    message, data, tensor = ({name: plain(value) for name, value in part.items()} for part in parts)
    arrays = {"tensor": {**tensor, "values": array}} if is_tensor else {"ndarray": array}
    return {**message, "data": {**data, **arrays}}
