"""MLflow's routes in OpenAPI, with the schemas of the served model."""

from typing import Any

from prepackaged.server.protocols.openapi import (
    ANY_VALUE,
    NAMES,
    UNAVAILABLE,
    Schema,
    example_parts,
    operation,
    records_schema,
    rows_schema,
)
from prepackaged.signature import Column, Signature

ANSWERS = {
    200: "`predictions`",
    400: "The request is wrong: `message` says where, what was expected and what it got",
    415: "The body is neither JSON nor CSV",
    500: "The model failed",
    503: UNAVAILABLE,
}


def paths(signature: Signature | None) -> dict[str, Any]:
    """The paths of the scoring protocol; the body may also be CSV."""
    ready = {200: "The model is loaded", 503: "It is not"}
    title, body = "Predict: MLflow's scoring protocol", _body(signature or Signature())
    invocations = operation(title, ANSWERS, body, _example(signature))
    invocations["requestBody"]["content"]["text/csv"] = {
        "schema": {"type": "string", "minLength": 1}
    }
    return {
        "/invocations": {"post": invocations},
        "/ping": {"get": operation("Whether the model is ready", ready)},
    }


def _example(signature: Signature | None) -> Any:
    """An example of a table or tensors that the model accepts; None if unknown."""
    names, rows, others = example_parts(signature)
    if names:
        return {"dataframe_split": {"columns": names, "data": rows}}
    inputs = others if rows is None else rows
    return None if inputs is None else {"inputs": inputs}


def _body(signature: Signature) -> Schema:
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    data = rows_schema(columns) if columns else {"type": "array"}
    records = records_schema(columns) if columns else {"type": "array"}
    split = {"type": "object", "properties": {"columns": NAMES, "data": data}, "required": ["data"]}
    forms: dict[str, Schema] = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": {"type": "array"},
        "inputs": ANY_VALUE,
    }
    return {
        "anyOf": [
            {"type": "object", "properties": {name: schema}, "required": [name]}
            for name, schema in forms.items()
        ]
    }
