"""The protocol's routes in OpenAPI, with an example request."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prepackaged.arrays import Array
from prepackaged.examples import DOCUMENTED, SHORTEST, example_row, example_tensors
from prepackaged.server.protocols.openapi import UNAVAILABLE, Schema, operation
from prepackaged.server.protocols.v2.datatypes import DATATYPES
from prepackaged.server.protocols.v2.metadata import Entry
from prepackaged.signature import Column, Signature

ANSWERS = {
    200: "The model's answer",
    400: "The request is wrong: `error` says where, what was expected and what it got",
    413: "The body is too large",
    500: "The model failed",
    503: UNAVAILABLE,
    504: "The request's `timeout` passed",
}
TENSOR: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": list(DATATYPES)},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype"],
}
OUTPUT: Schema = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
    "required": ["name"],
}
REQUEST: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "minItems": 1, "items": TENSOR},
        "outputs": {"type": ["array", "null"], "items": OUTPUT},
    },
    "required": ["inputs"],
}
VALUES = {"BOOL": True, "BYTES": "a"}


def paths(model: str, metadata: dict[str, Any], signature: Signature | None) -> dict[str, Any]:
    """The paths of the model with this name."""
    example = _example(metadata["inputs"], signature or Signature())
    infer = operation("Predict: the Open Inference Protocol V2", ANSWERS, REQUEST, example)
    ready = {200: "The model can be used", 503: "It cannot yet, or not any more"}
    described = {200: "Name, versions, platform, inputs and outputs"}
    return {
        f"/v2/models/{model}/infer": {"post": infer},
        f"/v2/models/{model}": {"get": operation("What the model takes and answers", described)},
        "/v2/health/ready": {"get": operation("Whether the model can be used", ready)},
    }


def repository_paths(model: str) -> dict[str, Any]:
    """The paths that load and unload the model with this name."""
    path, answers = f"/v2/repository/models/{model}", {200: "Done", 503: "It could not be loaded"}
    load = operation("Load the model from its directory again", answers)
    unload = operation("Unload the model: predictions get 503 until it is loaded", {200: "Done"})
    return {f"{path}/load": {"post": load}, f"{path}/unload": {"post": unload}}


def _example(entries: list[Entry], signature: Signature) -> Any:
    """An example request with one row; None if inputs are unknown, large or have no example."""
    if signature.input_tensors:
        inputs = _tensors(entries, example_tensors(signature, DOCUMENTED // SHORTEST))
        return {"inputs": inputs} if inputs else None
    row = example_row(signature)
    columns = {each.name: each for each in signature.inputs or () if isinstance(each, Column)}
    values = dict(zip(columns, row or (), strict=False))
    shapes = [[abs(size) for size in entry["shape"]] for entry in entries]
    if not entries or row is None or sum(map(math.prod, shapes)) > DOCUMENTED // SHORTEST:
        return None
    return {
        "inputs": [
            {**_entry(entry, values), "shape": shape, "data": _data(entry, values, shape)}
            for entry, shape in zip(entries, shapes, strict=True)
        ]
    }


def _tensors(entries: list[Entry], arrays: Mapping[str, Array]) -> list[Entry]:
    return [
        {**entry, "shape": list(array.shape), "data": array.ravel().tolist()}
        for entry in entries
        if (array := arrays.get(entry["name"])) is not None
    ]


def _entry(entry: Entry, values: Mapping[Any, Any]) -> Entry:
    """The entry with the datatype of the example's value, if the model accepts any."""
    is_text = isinstance(values.get(entry["name"]), str)
    return {**entry, "datatype": "BYTES"} if is_text else entry


def _data(entry: Entry, values: Mapping[Any, Any], shape: Sequence[int]) -> list[Any]:
    datatype = entry["datatype"]
    usual = VALUES.get(datatype, 0.5 if "FP" in datatype else 1)
    value = values.get(entry["name"])
    return [usual if value is None else value] * math.prod(shape)
