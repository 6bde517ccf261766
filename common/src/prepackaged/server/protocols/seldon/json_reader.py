"""Parse JSON to the message that `json_codec.decode` expects.

Large arrays of numbers are parsed directly into numpy's memory.
"""

from typing import Any

import numpy as np
import simdjson

from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_parts import read_numbers
from prepackaged.server.protocols.json_reading import (
    LARGE,
    array_of,
    members,
    parser_for,
    plain,
    read_arrays,
    read_json,
)

#: The paths of the numbers in a message.
PLACES = {("data", "ndarray"), ("data", "tensor", "values")}


def read_body(body: bytes) -> Any:
    """Parse a request's body. Raises `ClientError` if it is not JSON or is null."""
    return _message(read_json(body))


def _message(value: Any) -> Any:
    if value is None:
        raise ClientError("Can't find JSON in data: it is null")
    return value


def read_prediction(body: bytes) -> Any:
    """Parse a request's body; in a large one, the numbers in `data` may become a numpy array."""
    if len(body) < LARGE or b'"data"' not in body:
        return read_body(body)
    return _message(read_arrays(body, _in_parts, _with_array))


def _in_parts(body: bytes) -> Any:
    return read_numbers(body, PLACES.__contains__)


def _with_array(body: bytes) -> dict[str, Any]:
    """Parse a message whose `data` contains only numbers; fails with any error otherwise."""
    message = members(parser_for(body).parse(body))
    data = members(message.pop("data"))
    is_tensor = "tensor" in data
    tensor = members(data.pop("tensor")) if is_tensor else {}
    holder, key = (tensor, "values") if is_tensor else (data, "ndarray")
    array = array_of(holder.pop(key))
    parts = (message, data, tensor)
    lists = sum(isinstance(value, simdjson.Array) for part in parts for value in part.values())
    # simdjson flattens lists among the numbers, which only the number of brackets reveals.
    if body.count(b"[") != lists + 1 + sum(np.cumprod(array.shape[:-1], dtype=int)):
        raise ValueError("lists where none belong")
    message, data, tensor = ({name: plain(value) for name, value in part.items()} for part in parts)
    arrays = {"tensor": {**tensor, "values": array}} if is_tensor else {"ndarray": array}
    return {**message, "data": {**data, **arrays}}
