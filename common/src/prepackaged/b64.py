"""Bytes inside JSON: `{"b64": "..."}`, an object with that key alone.

TensorFlow Serving's REST API uses this form in requests and in responses.
"""

import base64
import reprlib
from typing import Any

import numpy as np

from prepackaged.errors import ClientError

KEY = "b64"


def is_b64(value: Any) -> bool:
    """Whether a JSON value stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and KEY in value


def decode_b64(value: Any) -> Any:
    """A JSON value in which each `{"b64": "..."}`, at any depth, is replaced by its bytes.

    Accepts lists, objects and arrays of objects; returns all other values unchanged. Raises
    `ClientError` for text that is not Base64.

    >>> decode_b64({"image": {"b64": "aGVsbG8="}, "size": 2})
    {'image': b'hello', 'size': 2}
    """
    if is_b64(value):
        return _decoded(value[KEY])
    if isinstance(value, dict):
        return {name: decode_b64(each) for name, each in value.items()}
    if isinstance(value, list):
        return [decode_b64(each) for each in value]
    if isinstance(value, np.ndarray) and value.dtype == object:
        decoded = value.copy()
        for place, each in np.ndenumerate(value):
            decoded[place] = decode_b64(each)
        return decoded
    return value


def encode_b64(content: bytes) -> dict[str, str]:
    """Bytes as a JSON value, `{"b64": "..."}`."""
    return {KEY: base64.b64encode(content).decode()}


def _decoded(text: Any) -> bytes:
    wanted = 'expected {"b64": "..."} with a string in Base64'
    if not isinstance(text, str):
        raise ClientError(f"{wanted}, got {reprlib.repr(text)}")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        why = str(error)
        if "-" in text or "_" in text:
            why = "its alphabet is A-Z, a-z, 0-9, + and /, not that of URLs"
        raise ClientError(f"{wanted}, got {reprlib.repr(text)}: {why}") from error
