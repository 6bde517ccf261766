"""Read rows from CSV (RFC 4180), with the types of the model's columns.

A column of unknown type becomes numbers or booleans if all its cells are such, else text, as in
pandas. An empty cell is null.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from prepackaged.cells import NUMBER
from prepackaged.errors import ClientError
from prepackaged.signature import Column, Signature

Header = Literal["present", "absent", ""]
Cells = Sequence[str]

TAKEN_FOR_HEADER = (
    " below the first line, the header; with Content-Type: text/csv; header=absent, it is a row"
)
MOST_COLUMNS = 2**16  # the most columns; each is processed separately
FLAGS = {"true": True, "false": False}
NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
WORDS = {**NO_NUMBERS, **FLAGS}  # the words in columns of numbers; a boolean is 0 or 1


def read_csv(text: str, header: Header, signature: Signature) -> tuple[list[list[Any]], list[str]]:
    """The rows of a CSV text, and the names in its header (empty without a header).

    If `header` is empty, the first line is a header if it contains anything but numbers, or the
    names of the model's columns. Raises `ClientError` for malformed CSV or no rows.
    """
    lines = _lines(text)
    names: list[str] = []
    if lines and (header or _guess(lines[0], signature)) == "present":
        names = _names(lines.pop(0), signature)
    if not lines:
        hint = TAKEN_FOR_HEADER if names and not header else ""
        raise ClientError(f"expected at least one row of CSV, got none{hint}")
    _check_widths(lines, names)
    kinds = _kinds(signature, names, len(lines[0]))
    if kinds is None:
        return lines, names
    # Python's int and float accept underscores and non-ASCII digits, which CSV does not allow.
    is_plain = text.isascii() and "_" not in text
    columns = [
        _values(cells, kind, is_plain=is_plain)
        for cells, kind in zip(zip(*lines, strict=True), kinds, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)], names


def _lines(text: str) -> list[list[str]]:
    """The cells of each nonempty line."""
    try:
        return [cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells]
    except csv.Error as error:
        raise ClientError(f"expected CSV; {error}") from error


def _guess(first: Cells, signature: Signature) -> Header:
    if {each.name for each in signature.inputs or ()}.issuperset(_names(first, signature)):
        return "present"
    filled = [cell for cell in first if cell]
    return "absent" if filled and all(map(_is_number, filled)) else "present"


def _names(header: Cells, signature: Signature) -> list[str]:
    """The names in a header, stripped of spaces unless the model's names have the same spaces."""
    known = {each.name for each in signature.inputs or ()}
    return [cell if cell in known else cell.strip() for cell in header]


def _check_widths(lines: Sequence[Cells], names: Sequence[str]) -> None:
    width = len(names or lines[0])
    if width > MOST_COLUMNS:
        raise ClientError(f"expected at most {MOST_COLUMNS} columns of CSV, got {width}")
    if set(map(len, lines)) == {width}:
        return
    number, cells = next(each for each in enumerate(lines) if len(each[1]) != width)
    raise ClientError(f"expected {width} cells in each row, got {len(cells)} in row {number}")


def _kinds(signature: Signature, names: Sequence[str], width: int) -> list[str] | None:
    """The kind of each column, by name or else by position; None if the column counts differ."""
    if tensors := signature.input_tensors:
        kinds = {each.name: "text" if each.is_text else "any" for each in tensors}
        only = next(iter(kinds.values())) if len(kinds) == 1 else "any"
        return [kinds.get(name, only) for name in names] or [only] * width
    columns = [each for each in signature.inputs or () if isinstance(each, Column)]
    if not columns:
        return ["any"] * width
    by_name = {column.name: _kind(column) for column in columns}
    if names and None not in by_name:
        return [by_name.get(name, "text") for name in names]  # unknown columns are text
    return list(map(_kind, columns)) if len(columns) == width else None


def _kind(column: Column) -> str:
    if column.kind != "category":
        return column.kind
    is_text = column.categories and all(isinstance(each, str) for each in column.categories)
    return "text" if is_text else "any"


def _values(cells: Cells, kind: str, *, is_plain: bool) -> list[Any]:
    """A column's values; a cell that does not fit the kind stays text, which the cast refuses."""
    if is_plain and kind in PARSERS:
        values = _parsed(cells, PARSERS[kind])
        if values is not None:
            return values
    if kind == "any":
        kind = _inferred(cells)
    one = READ.get(kind, str)
    return [one(cell) if cell else None for cell in cells]


def _parsed(cells: Cells, parsers: Sequence[Callable[[str], Any]]) -> list[Any] | None:
    """All cells as numbers of one type, with empty cells as None; None if some are no numbers."""
    filled = [cell for cell in cells if cell] if "" in cells else cells
    for parse in parsers:
        with suppress(ValueError):
            numbers = list(map(parse, filled))
            if len(filled) == len(cells):
                return numbers
            rest = iter(numbers)
            return [next(rest) if cell else None for cell in cells]
    return None


def _inferred(cells: Cells) -> str:
    filled = [cell for cell in cells if cell]
    if filled and all(map(_is_number, filled)):
        return "float64"
    return "bool" if filled and all(cell.strip().lower() in FLAGS for cell in filled) else "text"


def _is_number(cell: str) -> bool:
    cell = cell.strip()
    return bool(NUMBER.fullmatch(cell)) or cell.lower() in NO_NUMBERS


def _number(cell: str) -> Any:
    word = cell.strip()
    if not NUMBER.fullmatch(word):
        return WORDS.get(word.lower(), cell)
    return int(word) if word.lstrip("+-").isdigit() else float(word)


READ: dict[str, Callable[[str], Any]] = {
    "float64": _number,
    "float32": _number,
    "int64": _number,
    "bool": _number,
}
#: Functions that parse all cells of a column at once, if the text is plain ASCII.
PARSERS: dict[str, Sequence[Callable[[str], Any]]] = {
    "float64": (float,),
    "float32": (float,),
    "int64": (int, float),
    "any": (int, float),
}
