"""Seldon's routes in OpenAPI, with the schemas of the served model."""

import json
from typing import Any

from prepackaged.examples import DOCUMENTED, example_request
from prepackaged.server.protocols.openapi import (
    UNAVAILABLE,
    Schema,
    are_named,
    operation,
    records_schema,
    rows_schema,
    tensor_schema,
)
from prepackaged.signature import Column, Signature

ANSWERS = {
    200: "The model's answer",
    400: "The request is wrong: `status.info` says where, what was expected and what it got",
    413: "The body is too large",
    500: "The model failed",
    503: UNAVAILABLE,
}


def paths(signature: Signature | None) -> dict[str, Any]:
    """The paths of the served model, without older names for the same routes."""
    example = example_request(signature, DOCUMENTED)
    message = json.loads(example) if example else None
    predict = operation("Predict", ANSWERS, message_schema(signature or Signature()), message)
    alive = {200: "Alive", 500: "A call to the model hangs"}
    ready = {200: "The model is loaded", 503: "It is not yet"}
    return {
        "/api/v1.0/predictions": {"post": predict},
        "/health/ping": {"get": operation("Whether the process lives", alive)},
        "/health/status": {"get": operation("Whether the model is ready", ready)},
        "/metadata": {"get": operation("What the model is, takes and answers", {200: "Metadata"})},
    }


def message_schema(signature: Signature) -> Schema:
    """The schema of a message: `data` or `jsonData`.

    Also `strData` or `binData` if the model has no columns, and `strData` for one text column.
    """
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    data = _ndarray(rows_schema(columns)) if columns else _data(signature)
    kinds = {"data": data, "jsonData": _json_data(signature, columns)}
    if not columns or [each.kind for each in columns] == ["text"]:
        kinds["strData"] = {"type": "string"}
    if not columns:
        kinds["binData"] = {"type": "string", "contentEncoding": "base64"}
    return {"anyOf": [_object({name: schema}, name) for name, schema in kinds.items()]}


def _data(signature: Signature) -> Schema:
    tensors = signature.input_tensors
    return _ndarray(tensor_schema(tensors[0]) if len(tensors) == 1 else {"type": "array"})


def _ndarray(schema: Schema) -> Schema:
    names = {"type": "array", "items": {"type": "string"}}
    return _object({"ndarray": schema, "names": names}, "ndarray")


def _json_data(signature: Signature, columns: list[Column]) -> Schema:
    tensors = signature.input_tensors
    if are_named(columns):
        return records_schema(columns)
    if len(tensors) > 1:
        needed = [each.name for each in tensors if not each.optional]
        return _object({each.name: tensor_schema(each) for each in tensors}, *needed)
    return {}


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}
