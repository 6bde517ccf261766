"""Rows for trying a model at startup: its own example, or rows made from its columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prepackaged.artifacts import Artifact
from prepackaged.example_values import example_values
from prepackaged.signature import Column, Signature

MOST_BYTES = 2**20  # the largest input example, in bytes
ROWS = 1
MOST_SINGLE = 8  # the most columns that are tried as the only one of texts
LARGEST_TO_COPY = 64 * 2**20  # the largest model file whose model is copied, in bytes


def requests_to_try(
    artifact: Artifact, signature: Signature | None, most_bytes: int = LARGEST_TO_COPY
) -> Iterator[Any]:
    """Requests of one row, the most likely first; empty if the model is too large to copy.

    They are payloads as in `jsonData`. A trial needs a copy of the model, because some models
    change when they answer. The size of the file serves as an estimate of the copy's memory.
    """
    if artifact.path.stat().st_size > most_bytes:
        return
    example = mlflow_example(artifact)
    if example is not None:
        yield example
    if signature is not None:
        yield from made_up(signature)


def mlflow_example(artifact: Artifact) -> list[Any] | None:
    """The first row of an MLflow model's input example, as a payload: a record or values.

    None if there is no example, or if it is not a table. MLflow stores a DataFrame as `split` and
    an array as `inputs`.
    """
    info = artifact.mlmodel.get("saved_input_example_info")
    name = info.get("artifact_path") if isinstance(info, dict) else None
    content = _read_json(artifact.directory / str(name)) if name else None
    if isinstance(content, list) and content and isinstance(content[0], dict):
        content = content[0]  # the second item has parameters for predict
    rows = content.get("data", content.get("inputs")) if isinstance(content, dict) else content
    if not isinstance(rows, list) or not rows:
        return None
    names = content.get("columns") if isinstance(content, dict) else None
    if isinstance(names, list) and isinstance(rows[0], list) and len(names) == len(rows[0]):
        return [dict(zip(map(str, names), row, strict=True)) for row in rows[:ROWS]]
    return rows[:ROWS]


def made_up(signature: Signature) -> Iterator[list[Any]]:
    """Rows that the model may accept, made from its columns; the most likely first.

    Columns of an unknown kind have numbers, or texts, or a text in one of them.
    """
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    if not columns:
        yield ["a"]
        return
    unknown = [place for place, each in enumerate(columns) if each.kind == "any"]
    single = [{place} for place in unknown[:MOST_SINGLE]] if len(unknown) > 1 else []
    for texts in (set(), set(unknown), *single):
        values = [
            ("a" if place in texts else 1)
            if each.kind == "any"
            else next(iter(example_values(each)), 1)
            for place, each in enumerate(columns)
        ]
        names = [column.name for column in columns]
        yield [values if None in names else dict(zip(names, values, strict=True))]


def _read_json(path: Path) -> Any:
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
