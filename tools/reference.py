"""Generate the reference of the package `prepackaged` as Markdown from its docstrings.

Signatures and attributes are copied from the source.
"""

import ast
import inspect
import re
from collections.abc import Iterable
from itertools import pairwise
from textwrap import dedent

import prepackaged
from prepackaged import testing

#: The names that authors use, by task.
GROUPS = {
    "The Model": ("Component", "TensorComponent"),
    "The model's file": ("ModelFiles", "Artifact", "find_artifact", "local_path"),
    "Tables": ("Columns", "Table", "texts", "find_cell"),
    "Inputs and outputs": ("Signature", "Column", "ValueRange", "TensorSpec"),
    "Requests": ("request_headers", "decode_b64"),
    "Devices": ("choose_device",),
    "Errors": ("ClientError", "ModelError", "NotReadyError", "DeploymentError", "describe"),
    "Tests": ("serve", "Served"),
}
Definition = ast.ClassDef | ast.FunctionDef
PROMPT = re.compile(r"^(>>> .*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


def reference() -> str:
    """The reference: all groups, with a heading for each name."""
    groups = (
        "\n\n".join([f"## {title}", *map(described, names)]) for title, names in GROUPS.items()
    )
    return "\n\n".join(groups)


def described(name: str) -> str:
    """A heading, the signature, the docstring and, for a class, its public methods."""
    source = inspect.getsource(getattr(testing if name in GROUPS["Tests"] else prepackaged, name))
    (definition,) = (each for each in ast.parse(source).body if isinstance(each, Definition))
    lines = source.splitlines()
    parts = [f"### {name}", signature(definition, lines), documented(definition)]
    if isinstance(definition, ast.ClassDef):
        for method in definition.body:
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                heading = f"#### {name}.{method.name}"
                parts += [heading, signature(method, lines), documented(method)]
    return "\n\n".join(parts)


def documented(definition: Definition) -> str:
    """The docstring, with its examples as code blocks."""
    return PROMPT.sub(r"```pycon\n\1\n```", ast.get_docstring(definition) or "")


def signature(definition: Definition, lines: list[str]) -> str:
    """A code block with the definition's lines; for a class, also attributes and `__init__`."""
    shown = header(definition, lines)
    for before, each in pairwise(definition.body):
        if isinstance(definition, ast.ClassDef) and isinstance(each, ast.AnnAssign):
            shown += lines[before.end_lineno : each.end_lineno]  # with the comment above it
        elif isinstance(each, ast.FunctionDef) and each.name == "__init__":
            shown += header(each, lines)
    text = dedent("\n".join(filter(None, shown)))
    return f"```python\n{text}\n```"


def header(definition: Definition, lines: list[str]) -> list[str]:
    """The lines of a definition above its body, including decorators."""
    first = min(each.lineno for each in (definition, *definition.decorator_list))
    return lines[first - 1 : definition.body[0].lineno - 1]


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(columns)
    lines = (names, ["---"] * len(names), *rows)
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)
