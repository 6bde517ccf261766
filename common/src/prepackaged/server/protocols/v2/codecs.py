"""Decode BYTES by `content_type`, a parameter of MLServer's clients.

`np` and `pd` do not affect the values, and `datetime` is text that a column of a table parses.
Unknown content types are ignored; those that do not describe tensors are refused.
"""

import json
import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pybase64

from prepackaged.arrays import Array
from prepackaged.errors import ClientError
from prepackaged.server.protocols.v2.datatypes import BYTES
from prepackaged.server.protocols.v2.tensors import Tensor

KNOWN = ("np", "pd", "pd_json", "str", "base64", "datetime")
NO_TENSORS = ("hf", "dict", "json")


def decoded(tensor: Tensor, *, are_texts: bool) -> Array:
    """The tensor's array; BYTES are decoded by content type and, with `are_texts`, to text."""
    array = tensor.array()
    if tensor.datatype is not BYTES:
        return array
    kind = tensor.content_type
    if kind in NO_TENSORS:
        raise tensor.wrong(
            f"expected content_type as one of {', '.join(KNOWN)}, got {reprlib.repr(kind)}"
        )
    if kind == "base64":
        array = _each(tensor, array, _from_base64, "a string in Base64")
    if are_texts or kind in ("str", "pd_json"):
        array = _each(tensor, array, _as_text, "text in UTF-8")
    return _each(tensor, array, json.loads, "JSON") if kind == "pd_json" else array


def _each(tensor: Tensor, array: Array, one: Callable[[Any], Any], what: str) -> Array:
    values = np.empty(array.size, object)
    for number, value in enumerate(array.ravel().tolist()):
        try:
            values[number] = one(value)
        except (ValueError, RecursionError):
            raise tensor.wrong_at(number, what, value) from None
    return values.reshape(array.shape)


def _from_base64(value: str | bytes) -> bytes:
    return bytes(pybase64.b64decode(value, validate=True))


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def check_content_type(kind: Any) -> None:
    """Raise `ClientError` for a request's content type that does not describe tensors."""
    if kind in NO_TENSORS:
        raise ClientError(
            f"expected parameters.content_type as one of {', '.join(KNOWN)}, got {kind!r}"
        )
