"""Rows of a request as a model's `prepare` and `predict` take them, whichever protocol's they are.

Rows are what Seldon's `data.ndarray` would make of them, and records what `jsonData` would, so
that requests of different protocols share calls of the model.
"""

from typing import Any

import numpy as np
import simdjson

from prepackaged.arrays import from_lists
from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import (
    LARGE,
    array_of,
    expected,
    members,
    parser_for,
    plain,
    read_json,
)


def read_object(body: bytes, array: str | None = None) -> dict[str, Any]:
    """The JSON object that is a request's body.

    Numbers in lists under the name `array` may be an array already where they are many. Raises
    `ClientError` for anything but an object.
    """
    if array and len(body) >= LARGE:
        try:
            return _with_array(body, array)
        except (ValueError, TypeError, LookupError, RuntimeError):
            pass  # whatever it is: what follows reads it, or says what is wrong with it
    message = read_json(body)
    if not isinstance(message, dict):
        raise expected("a JSON object as the body", message)
    return message


def rows_of(rows: Any, *, as_lists: bool) -> Any:
    """Rows of values as an array, or as the lists they are where the model takes lists.

    Records, and `{"b64": ...}`, stay as they are. Raises `ClientError` for rows of unequal length.
    """
    if not isinstance(rows, list) or as_lists or any(isinstance(row, dict) for row in rows):
        return rows
    return from_lists(rows)


def _with_array(body: bytes, name: str) -> dict[str, Any]:
    """An object with nothing but numbers under `name`; errors of any kind for all others."""
    message = members(parser_for(body).parse(body))
    array = array_of(message.pop(name))
    lists = sum(isinstance(value, simdjson.Array) for value in message.values())
    # A list among the numbers would have been taken for what is in it.
    if body.count(b"[") != lists + 1 + sum(np.cumprod(array.shape[:-1], dtype=int)):
        raise ValueError("lists where none belong")
    return {name: array} | {key: plain(value) for key, value in message.items()}


def only_one(message: dict[str, Any], *names: str) -> str:
    """Which of these members an object has; null is none. Raises `ClientError` unless it is one."""
    found = [name for name in names if message.get(name) is not None]
    if len(found) != 1:
        got = " and ".join(found) if found else _names_in(message)
        raise ClientError(f"expected one of {', '.join(names)} in the body, got {got}")
    return found[0]


def _names_in(message: dict[str, Any]) -> str:
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in list(message)[:5]]
    return f"an object with {', '.join(names)}" if names else "an empty object"
