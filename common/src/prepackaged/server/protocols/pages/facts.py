"""The facts about a model that the page shows, as one JSON value."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from prepackaged.component import Component
from prepackaged.example_values import example_values
from prepackaged.examples import DOCUMENTED, example_request, example_row
from prepackaged.input_examples import mlflow_example
from prepackaged.signature import Column, Signature, TensorSpec, declared_signature

MOST_COLUMNS = 500  # the most columns of a form; for more, the page asks for JSON
MOST_CHOICES = 50  # the most categories of a choice; with more, the form has a text field
LONGEST = 200  # the most characters of a name or a value at the top of the page
COLOURS = (1, 3)  # the numbers of channels that images have


def page_facts(
    model: Any, metadata: Mapping[str, Any], image: str, path: str, paths: Mapping[str, Any]
) -> dict[str, Any]:
    """The facts about a loaded model. `metadata` is Seldon's; predictions go to `path`.

    `paths` are OpenAPI's path items of all protocols.
    """
    signature = declared_signature(model) or Signature()
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    columns = columns if len(columns) <= MOST_COLUMNS else []
    row = _example_row(model, signature, columns)
    example = example_request(signature, DOCUMENTED)
    return {
        "name": _text(metadata.get("name") or _file_name(model)),
        "about": [[term, _text(value)] for term, value in _about(model, metadata, image) if value],
        "hint": hint(signature),
        "columns": [
            _field(place, each, value)
            for place, (each, value) in enumerate(zip(columns, row, strict=True))
        ],
        "takesImages": any(map(takes_images, signature.input_tensors)),
        "example": json.loads(example) if example else {"data": {"ndarray": [[1]]}},
        "path": path,
        "protocols": list(_other_requests(paths, path)),
    }


EXAMPLE = "Its values are an example."


def hint(signature: Signature) -> str:
    """A sentence that says what to enter."""
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    if columns:
        source = signature.sources.get("inputs")
        known = f", known from the {source}" if source else ""
        refused = signature.example is not None and not signature.example
        values = "The model refused all made-up values: enter your own." if refused else EXAMPLE
        return f"One row of {len(columns)} columns{known}. {values}"
    if signature.input_tensors:
        tensors = ", ".join(_text(each) for each in signature.input_tensors[:MOST_CHOICES])
        if signature.example is not None and not signature.example:
            return f"Tensors: {tensors}. The model refused all made-up values: enter your own."
        return f"Tensors: {tensors}."
    return "The model does not describe its inputs: write a request as JSON."


def takes_images(spec: TensorSpec) -> bool:
    """Whether an input may be an image: [n, height, width, channels] or with channels first."""
    shape = spec.shape or ()
    return len(shape) == 4 and (shape[1] in COLOURS or shape[3] in COLOURS)


def _other_requests(paths: Mapping[str, Any], usual: str) -> Iterator[tuple[str, str, Any]]:
    """Yield the example of each other protocol: its title, its path and its body."""
    for path, item in paths.items():
        operation = item.get("post", {})
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if path != usual and "example" in body:
            yield operation["summary"], path, body["example"]


def _about(model: Any, metadata: Mapping[str, Any], image: str) -> list[tuple[str, Any]]:
    custom = metadata.get("custom")
    artifact = model.artifact if isinstance(model, Component) else None
    versions = metadata.get("versions")
    return [
        ("platform", metadata.get("platform")),
        *(custom.items() if isinstance(custom, Mapping) else ()),
        ("version", ", ".join(map(str, versions)) if isinstance(versions, list) else ""),
        ("image", image),
        ("file", _file_name(model)),
        ("digest", artifact.digest if artifact else ""),
    ]


def _file_name(model: Any) -> str:
    return model.artifact.name if isinstance(model, Component) and model.artifact else ""


def _example_row(model: Any, signature: Signature, columns: list[Column]) -> list[Any]:
    """The values of MLflow's example if the model has one, else tried or made-up ones."""
    rows = mlflow_example(model.artifact) if columns and _file_name(model) else None
    row = rows[0] if rows else None
    if isinstance(row, dict) and all(each.name in row for each in columns):
        return [row[each.name] for each in columns]
    if isinstance(row, list) and len(row) == len(columns):
        return row
    made_up = [next(iter(example_values(each)), "a") for each in columns]
    tried = example_row(signature)
    return tried if tried and len(tried) == len(columns) else made_up


def _field(place: int, column: Column, example: Any) -> dict[str, Any]:
    choices = example_values(column, most=MOST_CHOICES + 1) if column.categories else []
    return {
        "name": column.name,
        "label": column.label(place),  # the name in error messages
        "kind": column.kind,
        "range": "" if column.value_range is None else str(column.value_range),
        "choices": choices if 0 < len(choices) <= MOST_CHOICES and example in choices else None,
        "nullable": column.nullable,
        "used": column.used,
        "example": example,
    }


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
