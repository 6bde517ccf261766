"""Convert rows of a request to the payload of `prepare` and `predict`, for all protocols.

Rows give the same payload as Seldon's `data.ndarray`, and records the same as `jsonData`, so that
requests of different protocols can share calls to the model.
"""

from functools import partial
from typing import Any

import numpy as np
import simdjson

from prepackaged.arrays import from_lists
from prepackaged.errors import ClientError
from prepackaged.server.protocols.errors import refuse_cloud_event
from prepackaged.server.protocols.json_parts import read_numbers
from prepackaged.server.protocols.json_reading import (
    LARGE,
    array_of,
    expected,
    members,
    parser_for,
    plain,
    read_arrays,
    read_json,
)


def read_object(body: bytes, array: str | None = None) -> dict[str, Any]:
    """Parse the JSON object in a request's body.

    If the body is large, the numbers of the member `array` may already be a numpy array. Raises
    `ClientError` for anything but an object.
    """
    message = _read(body, array) if array and len(body) >= LARGE else read_json(body)
    if not isinstance(message, dict):
        raise expected("a JSON object as the body", message)
    return message


def _read(body: bytes, name: str) -> Any:
    def in_parts(body: bytes) -> Any:
        return read_numbers(body, (name,).__eq__)

    return read_arrays(body, in_parts, partial(_with_array, name=name))


def rows_of(rows: Any, *, as_lists: bool) -> Any:
    """Convert rows of values to an array; unchanged if the model takes lists.

    Records and `{"b64": ...}` stay unchanged. Raises `ClientError` for rows of unequal length.
    """
    if not isinstance(rows, list) or as_lists or any(isinstance(row, dict) for row in rows):
        return rows
    return from_lists(rows)


def _with_array(body: bytes, name: str) -> dict[str, Any]:
    """Parse an object whose member `name` contains only numbers; fails with any error otherwise."""
    message = members(parser_for(body).parse(body))
    array = array_of(message.pop(name))
    lists = sum(isinstance(value, simdjson.Array) for value in message.values())
    # simdjson flattens lists among the numbers, which only the number of brackets reveals.
    if body.count(b"[") != lists + 1 + sum(np.cumprod(array.shape[:-1], dtype=int)):
        raise ValueError("lists where none belong")
    return {name: array} | {key: plain(value) for key, value in message.items()}


def only_one(message: dict[str, Any], *names: str) -> str:
    """The name of the only one of these members. Raises `ClientError` for none or several."""
    found = [name for name in names if message.get(name) is not None]
    if not found:
        refuse_cloud_event(message, *names)
    if len(found) != 1:
        got = " and ".join(found) if found else _names_in(message)
        raise ClientError(f"expected one of {', '.join(names)} in the body, got {got}")
    return found[0]


def _names_in(message: dict[str, Any]) -> str:
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in list(message)[:5]]
    return f"an object with {', '.join(names)}" if names else "an empty object"
