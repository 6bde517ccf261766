"""V1's routes in OpenAPI, with the schemas of the served model."""

from typing import Any

from prepackaged.server.protocols.openapi import (
    ANY_VALUE,
    UNAVAILABLE,
    Schema,
    example_parts,
    operation,
    tables_of,
)
from prepackaged.server.protocols.v1.errors import MODELS
from prepackaged.signature import Signature

ANSWERS = {
    200: "A prediction for each instance, or outputs",
    400: "The request is wrong: `error` says where, what was expected and what it got",
    404: "There is no such model or version",
    500: "The model failed",
    503: UNAVAILABLE,
}


def paths(name: str, signature: Signature | None) -> dict[str, Any]:
    """The paths of the served model, without its version."""
    model = f"{MODELS}/{name}"
    ready = {200: "The model is loaded", 503: "It is not yet"}
    title = "Predict: TensorFlow Serving's and KServe's V1"
    predict = operation(title, ANSWERS, _body(signature), _example(signature))
    return {
        f"{model}:predict": {"post": predict},
        model: {"get": operation("The model's state", ready)},
        f"{model}/metadata": {"get": operation("Inputs and outputs", {200: "Metadata"})},
    }


def _example(signature: Signature | None) -> Any:
    """An example of instances, or of inputs if there are several tensors; None if unknown."""
    names, rows, others = example_parts(signature)
    if rows is None:
        return others and {"inputs": others}
    return {"instances": [dict(zip(names, row, strict=True)) for row in rows] if names else rows}


def _body(signature: Signature | None) -> Schema:
    instances: Schema = {"type": "array"}
    if tables := tables_of(signature):
        instances = {"anyOf": tables}
    kinds = [
        {"type": "object", "properties": {"instances": instances}, "required": ["instances"]},
        {"type": "object", "properties": {"inputs": ANY_VALUE}, "required": ["inputs"]},
    ]
    return {"anyOf": kinds}
