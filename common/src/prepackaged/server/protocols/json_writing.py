"""Write the results of models as JSON: fast for the types that orjson supports, and complete.

NaN and infinity become null, because JSON has no such numbers.
"""

import json
import math
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from prepackaged.arrays import Array
from prepackaged.b64 import encode_b64
from prepackaged.errors import ResultError, describe

ARRAY = orjson.OPT_SERIALIZE_NUMPY
FLOAT64 = np.dtype(np.float64)
PIECE = 2**18  # the characters of a text, or values of an array, that are written at a time
VALUE = ARRAY | orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def dump(value: Any) -> bytes:
    """The JSON of a value with sorted keys. Raises `ResultError` if JSON cannot represent it."""
    try:
        return orjson.dumps(value, default=simpler, option=VALUE)
    except TypeError:
        return _dump_slowly(value)


def dump_text(text: str) -> bytes:
    """The JSON of a text; a long one is written in pieces.

    For each text, orjson allocates eight times its length, and aborts the process if that fails.
    """
    if len(text) <= PIECE:
        return dump(text)
    try:
        places = range(0, len(text), PIECE)
        pieces = [orjson.dumps(text[at : at + PIECE])[1:-1] for at in places]
    except TypeError:
        return _dump_slowly(text)
    return b"".join([b'"', *pieces, b'"'])


def dump_array(array: Array) -> bytes:
    """The JSON of an array, with floats as doubles. Raises `ResultError` as `dump` does."""
    kind, is_plain = array.dtype.kind, type(array) is np.ndarray and array.ndim > 0
    if is_plain and array.size > PIECE and kind in "iufb" and max(array.shape[:-1], default=2) > 1:
        return _dump_rows(array)
    if is_plain and array.dtype is FLOAT64 and array.flags.c_contiguous:
        return orjson.dumps(array, option=ARRAY)
    if kind not in "iufb" or not is_plain:
        return dump(array.tolist())
    dtype = np.float64 if kind == "f" else array.dtype.newbyteorder("=")
    return orjson.dumps(np.asarray(array, dtype, order="C"), option=ARRAY)


def _dump_rows(array: Array) -> bytes:
    """The JSON of a large array, in pieces of some rows, so that other threads can run."""
    if len(array) == 1:
        return b"[%s]" % dump_array(array[0])
    rows = max(PIECE * len(array) // array.size, 1)
    pieces = (array[at : at + rows] for at in range(0, len(array), rows))
    return b"[%s]" % b",".join(dump_array(piece)[1:-1] for piece in pieces)


def simpler(value: Any) -> Any:
    """Convert a value to a type closer to JSON's. Raises `TypeError` if there is none."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, bytes | bytearray):
        return encode_b64(bytes(value))
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    return _as_flask_has_it(value)


def _as_flask_has_it(value: Any) -> Any:
    """Convert as upstream does, by `flask.json.provider.DefaultJSONProvider.default`."""
    if isinstance(value, date):
        return _http_date(value)
    if isinstance(value, Decimal | UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "__html__"):
        return str(value.__html__())
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _http_date(value: date) -> str:
    """A date, or a time in UTC, in the date format of HTTP headers (RFC 9110, 5.6.7)."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return format_datetime(aware, usegmt=True)


def key_of(key: Any) -> str:
    """A dict's key as a JSON name. Raises `TypeError` unless it is a plain value."""
    if isinstance(key, str):
        return key
    if isinstance(key, np.generic):
        key = key.item()
    if key is None or isinstance(key, int | float):
        return json.dumps(key)
    raise TypeError(f"expected a key of text, number, boolean or None, got {type(key).__name__}")


def _dump_slowly(value: Any) -> bytes:
    """Write values that orjson refuses: numeric keys, large integers, deep nesting."""
    try:
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultError(f"a value that JSON cannot hold: {describe(error)}") from error


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key_of(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _plain(simpler(value))
