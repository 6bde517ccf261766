"""The reference of the package `prepackaged`, as Markdown, made of its docstrings.

It reads the source and imports nothing, so that annotations appear as they are written.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import images

SOURCE = images.ROOT / "common/src"
#: The names for authors, by what an author is about to do.
GROUPS = {
    "The Model": ("Component", "TensorComponent"),
    "The model's file": ("ModelFiles", "Artifact", "find_artifact", "local_path"),
    "Tables": ("Columns", "Table", "texts", "find_cell"),
    "What the model takes and gives": ("Signature", "Column", "ValueRange", "TensorSpec"),
    "Requests": ("request_headers", "decode_b64"),
    "Devices": ("choose_device",),
    "Errors": ("ClientError", "ModelError", "NotReadyError", "DeploymentError", "describe"),
    "Tests": ("serve", "Served"),
}
Definition = ast.ClassDef | ast.FunctionDef
LONG = 90  # characters of a signature that fits in a line
PROMPT = re.compile(r"^(>>> .*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


def reference() -> str:
    """All groups, a heading for each name."""
    homes = dict(exported())
    parts = (
        f"## {title}\n\n" + "\n\n".join(described(name, homes[name]) for name in names)
        for title, names in GROUPS.items()
    )
    return "\n\n".join(parts)


def exported() -> Iterator[tuple[str, Path]]:
    """Each name that authors import, with the module that defines it."""
    package = ast.parse((SOURCE / "prepackaged/__init__.py").read_text())
    for statement in package.body:
        if isinstance(statement, ast.ImportFrom) and statement.module:
            home = SOURCE / f"{statement.module.replace('.', '/')}.py"
            yield from ((alias.name, home) for alias in statement.names)
    yield from ((name, SOURCE / "prepackaged/testing.py") for name in GROUPS["Tests"])


def described(name: str, home: Path) -> str:
    """A heading, the signature, the docstring, and a class's attributes and methods."""
    source = home.read_text()
    nodes = (node for node in ast.parse(source).body if isinstance(node, Definition))
    (definition,) = (node for node in nodes if node.name == name)
    parts = [f"### {name}", signature(definition), documented(definition)]
    if isinstance(definition, ast.ClassDef):
        parts += [table(attributes(definition, source.splitlines()))]
        for method in methods(definition):
            parts += [f"#### {name}.{method.name}", signature(method), documented(method)]
    return "\n\n".join(filter(None, parts))


def documented(definition: Definition) -> str:
    """The docstring; its examples become Python blocks."""
    text = inspect.cleandoc(ast.get_docstring(definition) or "")
    return PROMPT.sub(r"```pycon\n\1\n```", text)


def signature(definition: Definition) -> str:
    """How it is called, in a Python block; empty for what has no arguments of its own."""
    if isinstance(definition, ast.ClassDef):
        functions = (each for each in definition.body if isinstance(each, ast.FunctionDef))
        made = next((each for each in functions if each.name == "__init__"), None)
        called = call(definition.name, made) if made else of_dataclass(definition)
    else:
        called = definition.name if is_property(definition) else call(definition.name, definition)
        called += f" -> {ast.unparse(definition.returns)}" if definition.returns else ""
    return f"```python\n{called}\n```" if called else ""


def call(name: str, function: ast.FunctionDef) -> str:
    """A call with each argument's annotation and default."""
    text = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(function.args))
    return wrapped(name, re.sub(r"(?<=[\w\]])=(?=\S)", " = ", text))


def of_dataclass(definition: ast.ClassDef) -> str:
    """A call with the fields; empty for another class."""
    fields = [ast.unparse(each) for each in definition.body if isinstance(each, ast.AnnAssign)]
    is_data = any("dataclass" in ast.unparse(each) for each in definition.decorator_list)
    return wrapped(definition.name, ", ".join(fields)) if is_data else ""


def wrapped(name: str, arguments: str) -> str:
    """A call in one line, or with a line for each argument."""
    if len(name + arguments) < LONG:
        return f"{name}({arguments})"
    lines = re.split(r", (?=\*|\w+: )", arguments)
    return f"{name}(\n    " + ",\n    ".join(lines) + ",\n)"


def is_property(method: ast.FunctionDef) -> bool:
    """Whether it is read like an attribute."""
    return any("property" in ast.unparse(each) for each in method.decorator_list)


def methods(definition: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """The public methods."""
    for each in definition.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            yield each


def attributes(definition: ast.ClassDef, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Class attributes with the comment above them, which begins with `#:`."""
    for each in filter(lambda each: isinstance(each, ast.AnnAssign), definition.body):
        place = each.lineno - 2
        while lines[place].lstrip().startswith("#:"):
            place -= 1
        comment = [line.strip().removeprefix("#: ") for line in lines[place + 1 : each.lineno - 1]]
        if comment:
            yield ast.unparse(each), " ".join(comment)


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Attributes as a Markdown table; empty without any."""
    body = [f"| `{code.replace('|', chr(92) + '|')}` | {text} |" for code, text in rows]
    return "\n".join(["| attribute | meaning |", "| --- | --- |", *body]) if body else ""
