"""Recognise valid metadata without jsonschema, whose import takes 0.1 s at startup.

All other metadata is passed to jsonschema, which also raises the errors.
"""

from collections.abc import Callable, Mapping
from typing import Any

from seldon_core import metadata as seldon
from seldon_core.metrics import split_image_tag

Schema = Mapping[str, Any]

TYPES = {"array": list, "integer": int, "object": dict, "string": str}


def validated(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with Seldon's defaults, as seldon-core's `validate_model_metadata` returns it.

    Raises `SeldonInvalidMetadataError` if it does not follow Seldon's schema.
    """
    image = seldon.MODEL_IMAGE
    name, version = ("", "") if image is None else split_image_tag(image)
    complete = {
        "name": name,
        "versions": [version],
        "platform": "",
        "inputs": [],
        "outputs": [],
        "custom": {},
        **metadata,
    }
    if follows(complete, seldon.JSON_SCHEMA):
        return complete
    return dict(seldon.validate_model_metadata(metadata))


def follows(value: Any, schema: Schema) -> bool:
    """Whether a value follows a JSON schema; also False if this function cannot tell."""
    return all(name in CHECKS and CHECKS[name](value, schema) for name in schema)


def _properties(value: Any, schema: Schema) -> bool:
    known = schema["properties"]
    return all(follows(each, known[name]) for name, each in value.items() if name in known)


def _others(value: Any, schema: Schema) -> bool:
    """Whether properties that the schema does not name follow `additionalProperties`."""
    if not isinstance(value, dict):
        return True
    others = [each for name, each in value.items() if name not in schema.get("properties", {})]
    wanted = schema["additionalProperties"]
    return all(follows(each, wanted) for each in others) if wanted else not others


CHECKS: dict[str, Callable[[Any, Schema], bool]] = {
    "type": lambda value, schema: (
        isinstance(value, TYPES.get(schema["type"], ())) and not isinstance(value, bool)
    ),
    "enum": lambda value, schema: type(value) is str and value in schema["enum"],
    "not": lambda value, schema: type(value) is str and value not in schema["not"]["enum"],
    "required": lambda value, schema: (
        isinstance(value, dict) and value.keys() >= {*schema["required"]}
    ),
    "properties": lambda value, schema: isinstance(value, dict) and _properties(value, schema),
    "additionalProperties": _others,
    "items": lambda value, schema: (
        isinstance(value, list) and all(follows(each, schema["items"]) for each in value)
    ),
    "anyOf": lambda value, schema: any(follows(value, each) for each in schema["anyOf"]),
}
