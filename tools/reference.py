"""The reference of the package `prepackaged`, as Markdown, made of its docstrings.

It reads the source, so that annotations appear as they are written.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator

import prepackaged
from prepackaged import testing

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
    groups = (
        "\n\n".join([f"## {title}", *map(described, names)]) for title, names in GROUPS.items()
    )
    return "\n\n".join(groups)


def described(name: str) -> str:
    """A heading, the signature, the docstring, and a class's attributes and methods."""
    source = inspect.getsource(getattr(testing if name in GROUPS["Tests"] else prepackaged, name))
    (definition,) = (each for each in ast.parse(source).body if isinstance(each, Definition))
    parts = [f"### {name}", signature(definition), documented(definition)]
    if isinstance(definition, ast.ClassDef):
        if found := [*attributes(definition, source.splitlines())]:
            parts.append(table(("attribute", "meaning"), found))
        for method in functions(definition):
            if not method.name.startswith("_"):
                parts += [f"#### {name}.{method.name}", signature(method), documented(method)]
    return "\n\n".join(filter(None, parts))


def functions(definition: ast.ClassDef) -> list[ast.FunctionDef]:
    """The class's methods and properties."""
    return [each for each in definition.body if isinstance(each, ast.FunctionDef)]


def documented(definition: Definition) -> str:
    """The docstring; its examples become Python blocks."""
    return PROMPT.sub(r"```pycon\n\1\n```", ast.get_docstring(definition) or "")


def signature(definition: Definition) -> str:
    """How it is called, in a Python block; empty for what has no arguments of its own."""
    if isinstance(definition, ast.ClassDef):
        made = next((each for each in functions(definition) if each.name == "__init__"), None)
        called = call(definition.name, made) if made else of_dataclass(definition)
    else:
        is_property = any("property" in ast.unparse(each) for each in definition.decorator_list)
        called = definition.name if is_property else call(definition.name, definition)
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


def attributes(definition: ast.ClassDef, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Class attributes, as code, with the comment above them, which begins with `#:`."""
    for each in filter(lambda each: isinstance(each, ast.AnnAssign), definition.body):
        place = each.lineno - 2
        while lines[place].lstrip().startswith("#:"):
            place -= 1
        comment = [line.strip().removeprefix("#: ") for line in lines[place + 1 : each.lineno - 1]]
        if comment:
            code = ast.unparse(each).replace("|", r"\|")  # which would end the table's cell
            yield f"`{code}`", " ".join(comment)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    header = list(columns)
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)
