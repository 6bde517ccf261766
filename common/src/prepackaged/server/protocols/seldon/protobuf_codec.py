"""Decode requests from SeldonMessages, and encode responses as SeldonMessages.

The rules are those of `json_codec`; numbers are doubles, and NaN and infinity are preserved.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import NULL_VALUE
from seldon_core.proto import prediction_pb2

from prepackaged.arrays import Array, from_lists
from prepackaged.errors import ClientError, ResultError, describe
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.json_writing import key_of, simpler
from prepackaged.server.protocols.protobuf_reading import count_of
from prepackaged.server.protocols.results import from_result
from prepackaged.server.protocols.seldon import tftensor
from prepackaged.server.protocols.seldon.json_codec import (
    NO_PATH,
    Request,
    RequestPath,
    answer_kind,
    merged_meta,
)
from prepackaged.server.protocols.shapes import shaped
from prepackaged.server.protocols.wire import varint

# A number in a ListValue on the wire: these bytes (the tag of an element, its length of 9 bytes,
# the tag of its field 2), then the double.
NUMBER = b"\x0a\x09\x11"
DOUBLE = np.dtype("<f8")
MANY = 64  # the fewest numbers to copy as wire format; fewer are faster to handle individually


def memory_of(body: bytes) -> int:
    """An estimate of the memory for the parts of a message and a response of the same size.

    A part has at least two bytes on the wire. Lists, objects, texts, sizes and metrics begin with
    one of these bytes; about one in 64 bytes of doubles is among them by chance.
    """
    return 2 * len(body) + 64 * count_of(body, b"\x0a\x12\x22\x42")


def decode(message: Any) -> Request:
    """Decode a SeldonMessage. Raises `ClientError` for any error in it."""
    kind = message.WhichOneof("data_oneof")
    if kind is None:
        raise ClientError(
            "expected data, jsonData, strData, binData or customData, got none of them"
        )
    meta = _read_meta(message.meta) if message.HasField("meta") else {}
    if kind == "data":
        return _read_data(message.data, meta)
    value = getattr(message, kind)
    return Request(_from_value(value) if kind == "jsonData" else value, [], meta, kind=kind)


def encode(answer: Prediction, request: Request, path: RequestPath = NO_PATH) -> Any:
    """The SeldonMessage of a prediction.

    `path` is this server's entry in the response's `meta.requestPath`. Raises `ResultError` if
    protobuf cannot represent the result.
    """
    message = prediction_pb2.SeldonMessage()
    try:
        _write_meta(merged_meta(answer, request, path), message.meta)
        _write(answer, request.kind, message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ResultError(f"a value that protobuf cannot hold: {describe(error)}") from error
    return message


def _read_meta(meta: Any) -> dict[str, Any]:
    parts = {
        "puid": meta.puid,
        "tags": {key: _from_value(value) for key, value in meta.tags.items()},
        "routing": dict(meta.routing),
        "requestPath": dict(meta.requestPath),
        "metrics": [json_format.MessageToDict(metric) for metric in meta.metrics],
    }
    return {name: part for name, part in parts.items() if part}


def _read_data(data: Any, meta: dict[str, Any]) -> Request:
    names, kind = list(data.names), data.WhichOneof("data_oneof")
    if kind == "tensor":
        values = np.array(data.tensor.values, dtype=np.float64)
        value = shaped(values, list(data.tensor.shape))
    elif kind == "tftensor":
        value = tftensor.decode(data.tftensor)
    else:
        value = _from_list(data.ndarray)
    return Request(value, names, meta, kind=kind or "ndarray")


def _from_value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    if kind == "list_value":
        return [_from_value(each) for each in value.list_value.values]
    if kind == "struct_value":
        fields = value.struct_value.fields
        return {key: _from_value(each) for key, each in fields.items()}
    return getattr(value, kind)


def _from_list(rows: Any) -> Array:
    array = _from_wire(rows)
    return from_lists([_from_value(row) for row in rows.values]) if array is None else array


def _from_wire(rows: Any) -> Array | None:
    """Read numbers in lists of equal lengths directly from the wire format; None for other rows.

    Creating a Python object for each number takes thirty times as long.
    """
    wire = np.frombuffer(rows.SerializeToString(), np.uint8)
    if wire.size < MANY * (len(NUMBER) + DOUBLE.itemsize):
        return None
    shape = _shape_of_first(rows)
    headers, size = _layout(shape)
    if wire.size != size or 0 in shape:
        return None
    count = 1
    for header, length in zip(headers, shape, strict=True):
        count *= length
        items = wire.reshape(count, -1)
        if (items[:, : len(header)] != np.frombuffer(header, np.uint8)).any():
            return None
        wire = items[:, len(header) :]
    return np.ascontiguousarray(wire).view(DOUBLE).reshape(shape)


def _shape_of_first(rows: Any) -> list[int]:
    """The lengths of the list, of its first element, of that element's first element, etc."""
    shape = [len(rows.values)]
    while rows.values and rows.values[0].HasField("list_value"):
        rows = rows.values[0].list_value
        shape.append(len(rows.values))
    return shape


def _layout(shape: Sequence[int]) -> tuple[list[bytes], int]:
    """The layout of a ListValue of numbers on the wire: the headers and the size in bytes.

    The headers are, for each dimension from the outermost, the bytes before each of its lists or
    numbers.
    """
    headers, width = [NUMBER], len(NUMBER) + DOUBLE.itemsize
    for length in reversed(shape[1:]):
        width *= length
        inner = b"\x32" + varint(width)
        headers.append(b"\x0a" + varint(len(inner) + width) + inner)
        width += len(headers[-1])
    return headers[::-1], width * shape[0]


def _write_meta(parts: dict[str, Any], meta: Any) -> None:
    meta.SetInParent()
    meta.puid = parts.get("puid", "")
    meta.requestPath.update(parts.get("requestPath", {}))
    for key, value in parts.get("tags", {}).items():
        _write_value(value, meta.tags[key])
    for metric in parts.get("metrics", []):
        meta.metrics.add(**{**metric, "value": float(metric.get("value", 0))})


def _write(answer: Prediction, asked: str, message: Any) -> None:
    value = answer.value
    if isinstance(value, str):
        message.strData = value
    elif isinstance(value, dict):
        _write_value(value, message.jsonData)
    elif isinstance(value, bytes | bytearray):
        message.binData = bytes(value)
    elif isinstance(value, AnyMessage):
        message.customData.CopyFrom(value)
    else:
        message.data.names.extend(answer.names)
        _write_array(value, asked, message.data)


def _write_array(value: Any, asked: str, data: Any) -> None:
    array = from_result(value)
    kind = answer_kind(array, asked)
    if kind == "tftensor":
        data.tftensor.CopyFrom(tftensor.encode(array))
    elif kind == "tensor":
        data.tensor.shape.extend(array.shape)
        values = _doubles(array).tobytes()
        data.tensor.MergeFromString(b"\x12" + varint(len(values)) + values)
    elif array.dtype.kind in "iuf" and array.size >= MANY:
        data.ndarray.MergeFromString(_to_wire(_doubles(array)))
    else:
        is_as_listed = isinstance(value, list) and array.dtype == object
        rows = value if is_as_listed else np.atleast_1d(array).tolist()
        _write_list(rows, data.ndarray)


def _doubles(array: Array) -> Array:
    return np.ascontiguousarray(array.astype(DOUBLE, casting="same_kind"))


def _to_wire(array: Array) -> bytes:
    headers, _ = _layout(array.shape)
    wire = array.reshape(-1, 1).view(np.uint8)
    for header, length in zip(reversed(headers), reversed(array.shape), strict=True):
        before = np.broadcast_to(np.frombuffer(header, np.uint8), (len(wire), len(header)))
        wire = np.hstack([before, wire]).reshape(len(wire) // length, -1)
    return wire.tobytes()


def _write_list(values: Any, message: Any) -> None:
    message.SetInParent()
    for value in values:
        _write_value(value, message.values.add())


def _write_value(value: Any, message: Any) -> None:
    if value is None:
        message.null_value = NULL_VALUE
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        for key, each in value.items():
            _write_value(each, message.struct_value.fields[key_of(key)])
    elif isinstance(value, list | tuple):
        _write_list(value, message.list_value)
    else:
        _write_value(simpler(value), message)
