"""The OpenAPI 3.1 document of a server and its model (https://spec.openapis.org/oas/v3.1.0).

Each protocol describes its own paths; the schemas of rows and tensors are made here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prepackaged.example_values import example_values
from prepackaged.examples import DOCUMENTED, example_request
from prepackaged.signature import Column, Signature, TensorSpec

MOST_PLACES = 200  # the most columns or categories that are described individually
TYPES = {
    "float64": "number",
    "float32": "number",
    "int64": "integer",
    "bool": "boolean",
    "text": "string",
    "datetime": "string",
}

Schema = dict[str, Any]

UNAVAILABLE = (
    "The model is loading or too busy, or the server is shutting down; try again after"
    " `Retry-After` seconds"
)  # the description of status 503
ANY_VALUE: Schema = {"type": ["array", "object", "string", "number", "boolean"]}  # all but null
NAMES: Schema = {
    "type": "array",
    "items": {"type": ["string", "number"]},
}  # in pandas, names may be numbers


def document(title: str, version: str, paths: Mapping[str, Any]) -> dict[str, Any]:
    """The document for these paths, which are relative to the document's address."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title or "model", "version": version or "1"},
        "servers": [{"url": "."}],
        "paths": dict(paths),
    }


def operation(
    summary: str, answers: Mapping[int, str], body: Schema | None = None, example: Any = None
) -> dict[str, Any]:
    """An operation with a JSON body and a description of each status."""
    described: dict[str, Any] = {
        "summary": summary,
        "responses": {str(status): {"description": text} for status, text in answers.items()},
    }
    if body is not None:
        content = {"schema": body} | ({} if example is None else {"example": example})
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def example_parts(signature: Signature | None) -> tuple[list[str], Any, Any]:
    """The parts of an example request: column names, rows, and tensors by name.

    Rows are None if there are several tensors; rows and tensors are None without an example.
    """
    text = example_request(signature, DOCUMENTED)
    message = json.loads(text) if text else {}
    data = message.get("data", {})
    return data.get("names", []), data.get("ndarray"), message.get("jsonData")


def rows_schema(columns: Sequence[Column]) -> Schema:
    """The schema of rows: lists with a value for each column, in the order of training."""
    row: Schema = {"type": "array", "minItems": len(columns), "maxItems": len(columns)}
    if len(columns) <= MOST_PLACES:
        row["prefixItems"] = [value_schema(each) for each in columns]
    return {"type": "array", "minItems": 1, "items": row}


def records_schema(columns: Sequence[Column]) -> Schema:
    """The schema of records: objects with a value for each column, by name."""
    named = [each for each in columns if each.name is not None][:MOST_PLACES]
    needed = [each.name for each in named if each.used and not each.optional]
    properties = {str(each.name): value_schema(each) for each in named}
    record: Schema = {"type": "object", "properties": properties, "required": needed}
    return {"type": "array", "minItems": 1, "items": record}


def tables_of(signature: Signature | None) -> list[Schema]:
    """The schemas of tables that a model accepts: rows, and records if it knows names."""
    columns = [each for each in (signature or Signature()).inputs or () if isinstance(each, Column)]
    records = [records_schema(columns)] if are_named(columns) else []
    return [rows_schema(columns), *records] if columns else []


def are_named(columns: Sequence[Column]) -> bool:
    """Whether there are columns and all have names; a name may be empty."""
    return bool(columns) and all(each.name is not None for each in columns)


def value_schema(column: Column) -> Schema:
    """The schema of the column's values."""
    known = example_values(column, most=MOST_PLACES)
    if column.categories and not column.open and len(column.categories) <= MOST_PLACES:
        return {"enum": [*known, None] if column.nullable else known}
    kind = TYPES.get(column.kind)
    schema: Schema = {"examples": known} if column.categories else {}
    if kind:
        schema["type"] = [kind, "null"] if column.nullable else kind
    if column.kind == "datetime":
        schema["format"] = "date-time"
    if column.value_range is not None:  # not minimum and maximum, since other numbers are accepted
        schema["description"] = f"known range: {column.value_range}"
    return schema


def tensor_schema(spec: TensorSpec) -> Schema:
    """The schema of nested lists with the tensor's shape."""
    kind = "U" if spec.is_text else "f" if spec.dtype is None else spec.dtype.kind
    names = {"b": "boolean", "i": "integer", "u": "integer", "U": "string"}
    schema: Schema = {"type": names.get(kind, "number")}
    for size in reversed(spec.shape or ()):
        bounds = {} if size is None else {"minItems": size, "maxItems": size}
        schema = {"type": "array", "items": schema, **bounds}
    return schema if spec.shape is not None else {}
