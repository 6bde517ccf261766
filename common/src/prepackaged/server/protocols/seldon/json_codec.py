"""Decode Seldon's messages from parsed JSON, and encode responses as JSON.

The rules are those of seldon_core.utils, except that every mistake of a client is a `ClientError`,
values keep their types, and responses are always valid JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pybase64
from google.protobuf import json_format
from seldon_core.proto.tensorflow.core.framework.tensor_pb2 import TensorProto

from prepackaged.arrays import Array, from_lists
from prepackaged.errors import ClientError, describe
from prepackaged.server.inference.requests import InferenceRequest, Prediction
from prepackaged.server.protocols.json_reading import JSON_TYPES, expected
from prepackaged.server.protocols.json_writing import dump, dump_array, dump_text
from prepackaged.server.protocols.results import from_result
from prepackaged.server.protocols.seldon import tftensor
from prepackaged.server.protocols.shapes import shaped

RequestPath = Mapping[str, str]
NO_PATH: RequestPath = {}

OTHER_THAN_DATA = (str, dict, bytes, bytearray)  # types of results that are not arrays
# Members of requests in other protocols.
OTHERS = {
    "instances": "TensorFlow Serving's protocol",
    "dataframe_split": "MLflow's protocol",
    "dataframe_records": "MLflow's protocol",
    "inputs": "the Open Inference Protocol or TensorFlow Serving's",
    "ndarray": "a part of data",
    "tensor": "a part of data",
}


class UnknownMessageError(ClientError):
    """The message is not one of Seldon's: HTTP 400, with the model's example if it has one.

    The error text names the protocol of the message if it is known, but does not quote the message,
    which may be large or secret.
    """

    def __init__(self, message: Any, example: str | None = None) -> None:
        self.got = message
        known = message if isinstance(message, dict) else ()
        others = (f"{key}, which is {whose}" for key, whose in OTHERS.items() if key in known)
        got = JSON_TYPES.get(type(message), type(message).__name__)
        right = f"; this model takes, for example, {example}" if example else ""
        super().__init__(
            "Invalid request data type: expected an object with data, jsonData, strData or binData,"
            f" got {next((f'an object with {other}' for other in others), got)}{right}"
        )


@dataclass(slots=True)
class Request(InferenceRequest):
    """A decoded message. Its `kind` determines the form of the response.

    `kind` is tensor, ndarray, tftensor, jsonData, strData, binData or customData.
    """

    kind: str = "ndarray"


def decode(message: Any, *, as_lists: bool = False) -> Request:
    """Decode a parsed JSON message. Raises `ClientError` for any error in it.

    With `as_lists`, `data.ndarray` stays a list.
    """
    if isinstance(message, dict):
        meta = _read_meta(message) if "meta" in message else {}
        if "data" in message:
            return _read_data(message["data"], meta, as_lists=as_lists)
        for kind, read in READERS.items():
            if kind in message:
                return Request(read(message[kind]), [], meta, kind=kind)
    raise UnknownMessageError(message)


def encode(answer: Prediction, request: Request, path: RequestPath = NO_PATH) -> bytes:
    """The JSON of a prediction with sorted keys and a newline at its end.

    `path` is this server's entry in the response's `meta.requestPath`. Raises `ModelError` if JSON
    cannot represent the result.
    """
    value, merged = answer.value, merged_meta(answer, request, path)
    meta = dump(merged) if merged else b"{}"
    parts: tuple[bytes, ...]
    if not isinstance(value, OTHER_THAN_DATA):
        names, data = dump(answer.names), _data(value, request.kind)
        parts = b'{"data":{"names":', names, b",", *data, b'},"meta":', meta, b"}\n"
    elif isinstance(value, str):
        parts = b'{"meta":', meta, b',"strData":', dump_text(value), b"}\n"
    elif isinstance(value, dict):
        parts = b'{"jsonData":', dump(value), b',"meta":', meta, b"}\n"
    else:
        parts = b'{"binData":"', pybase64.b64encode(value), b'","meta":', meta, b"}\n"
    return b"".join(parts)


def merged_meta(answer: Prediction, request: Request, path: RequestPath) -> dict[str, Any]:
    """The response's meta: the request's and the model's merged, without empty members."""
    meta = request.meta
    if not (meta or answer.tags or answer.metrics):
        return {"requestPath": path} if path else {}
    merged = {
        "metrics": [*(meta.get("metrics") or []), *answer.metrics],
        "puid": meta.get("puid"),
        "requestPath": {**path, **(meta.get("requestPath") or {})},
        "tags": {**(meta.get("tags") or {}), **answer.tags},
    }
    return {key: value for key, value in merged.items() if value}


def answer_kind(array: Array, asked: str) -> str:
    """The kind of an array in a response: for numbers, that of the request; else ndarray."""
    if array.dtype.kind not in "iufc":
        return "ndarray"
    return asked if asked in ("tensor", "ndarray", "tftensor") else "tensor"


def _read_meta(message: dict[str, Any]) -> dict[str, Any]:
    meta = message["meta"]
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise expected("meta as an object", meta)
    for part, (kind, name) in META_PARTS.items():
        if not isinstance(meta.get(part), kind | None):
            raise expected(f"meta.{part} as {name}", meta[part])
    return meta


def _read_data(data: Any, meta: dict[str, Any], *, as_lists: bool) -> Request:
    if not isinstance(data, dict):
        raise expected("data as an object", data)
    names = _read_names(data["names"]) if "names" in data else []
    if as_lists and isinstance(data.get("ndarray"), list) and "tensor" not in data:
        return Request(data["ndarray"], names, meta)
    for kind, read in DATA_READERS.items():
        if kind in data:
            return Request(read(data[kind]), names, meta, kind=kind)
    return Request(np.array([]), names, meta)


def _read_names(names: Any) -> list[str]:
    if names is None:
        return []
    if not isinstance(names, list):
        raise expected("data.names as a list", names)
    for number, name in enumerate(names):
        if not isinstance(name, str | int | float) or isinstance(name, bool):
            raise expected(f"data.names[{number}] as a string or a number", name)
    return names


def _read_tensor(tensor: Any) -> Array:
    if not isinstance(tensor, dict):
        raise expected("data.tensor as an object with shape and values", tensor)
    values = tensor.get("values")
    if isinstance(values, list):
        values = from_lists(values)
    if not isinstance(values, np.ndarray):
        raise expected("data.tensor.values as a list", values)
    return shaped(values, tensor.get("shape"))


def _read_ndarray(rows: Any) -> Array:
    if isinstance(rows, list):
        return from_lists(rows)
    if isinstance(rows, np.ndarray):
        return rows
    raise expected("data.ndarray as a list", rows)


def _read_tftensor(tensor: Any) -> Array:
    if not isinstance(tensor, dict):
        raise expected("data.tftensor as an object", tensor)
    try:
        return tftensor.decode(json_format.ParseDict(tensor, TensorProto()))
    except (json_format.ParseError, OverflowError) as error:
        raise ClientError(f"expected data.tftensor as a TensorProto; {describe(error)}") from error


def _read_text(text: Any) -> str:
    if not isinstance(text, str):
        raise expected("strData as a string", text)
    return text


def _read_bytes(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise expected("binData as a string in Base64", text)
    if "\n" in text:  # the command base64 and mail encoders wrap lines
        text = "".join(text.split())
    try:
        return bytes(pybase64.b64decode(text, validate=True))
    except ValueError as error:
        raise ClientError(f"expected binData in Base64; {error}") from error


META_PARTS = {
    "tags": (dict, "an object"),
    "metrics": (list, "a list"),
    "requestPath": (dict, "an object"),
}
DATA_READERS = {"tensor": _read_tensor, "ndarray": _read_ndarray, "tftensor": _read_tftensor}
READERS = {"jsonData": lambda value: value, "strData": _read_text, "binData": _read_bytes}


def _data(value: Any, asked: str) -> tuple[bytes, ...]:
    array = value if isinstance(value, np.ndarray) else from_result(value)
    kind = answer_kind(array, asked)
    if kind == "tensor":
        shape, values = dump(array.shape), dump_array(array.ravel())
        return b'"tensor":{"shape":', shape, b',"values":', values, b"}"
    if kind == "tftensor":
        return b'"tftensor":', dump(json_format.MessageToDict(tftensor.encode(array)))
    return b'"ndarray":', dump(value) if isinstance(value, list) else dump_array(array)
