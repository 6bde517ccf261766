"""Read a table from a payload, before values are cast: columns by position or by name.

As JSON, a table is a list of rows, a list of records, one record, an object of columns
(`{"age": [30, 40]}`) or pandas' `split` form (`{"columns": [...], "data": [...]}`). As an array
it has two dimensions, and the column names are separate.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prepackaged.arrays import Array, count_words
from prepackaged.casting import ABSENT, STRUCTURE, Values
from prepackaged.errors import ClientError

# The names, in errors, of payloads that are not tables.
PAYLOADS = {
    bytes: "binData",
    str: "a string",
    type(None): "null",
    bool: "a boolean",
} | dict.fromkeys((int, float), "a number")
SPLIT = {"columns", "data"}
SPARSEST, SMALL = 16, 4096  # the most cells per value of records, and the cells always allowed


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns of `rows` values each; `names` is None if the request has none.

    `values` returns the values of a column by its position. `is_by_name` is true if the order of
    the columns has no meaning.
    """

    rows: int
    width: int
    values: Callable[[int], Values]
    names: Sequence[str] | None = None
    is_by_name: bool = False


def read_sheet(payload: Any, names: Iterable[str] | None = None) -> Sheet:
    """The table in a payload; `names` were sent separately, and names in records override them.

    Raises `ClientError` if the payload is not a table, has rows of unequal length, or no rows.
    """
    if isinstance(payload, dict):
        sheet = _of_object(payload)
    elif isinstance(payload, np.ndarray):
        sheet = _of_array(payload, _sent_names(names))
    elif not isinstance(payload, list):
        kind = PAYLOADS.get(type(payload), type(payload).__name__)
        raise ClientError(f"expected rows of values, got {kind}")
    elif payload and all(type(row) is dict for row in payload):
        sheet = _of_records(payload)
    else:
        sheet = _of_rows(payload, _sent_names(names))
    if not (sheet.rows and sheet.width):
        shape = [sheet.rows, sheet.width]
        raise ClientError(f"expected at least one row and one column, got shape {shape}")
    return sheet


def numbered_places(sheet: Sheet) -> list[int] | None:
    """The positions of columns named "0", "1", ..., by number; None if they have other names.

    pandas gives these names to columns without names.
    """
    names = sheet.names
    if not names or len(names) != sheet.width or not names[0].isdecimal():
        return None
    places = {name: place for place, name in enumerate(names)}
    numbers = [str(number) for number in range(sheet.width)]
    return [places[number] for number in numbers] if places.keys() == set(numbers) else None


def _of_records(records: list[dict[str, Any]]) -> Sheet:
    names = list(records[0])
    if any(record.keys() != records[0].keys() for record in records):
        names = list(dict.fromkeys(name for record in records for name in record))
        _check_density(len(records) * len(names), sum(map(len, records)))
    return Sheet(
        len(records),
        len(names),
        lambda place: [record.get(names[place], ABSENT) for record in records],
        names,
        is_by_name=True,
    )


def _check_density(cells: int, values: int) -> None:
    """Refuse records that share few names: their table would be far larger than the request."""
    if cells > SPARSEST * values + SMALL:
        raise ClientError(
            f"expected records with the same names, got {values} values for a table of {cells}"
        )


def _of_object(value: dict[str, Any]) -> Sheet:
    if value.keys() >= SPLIT and isinstance(value["data"], list):
        return _of_rows(value["data"], _sent_names(value["columns"]))
    if value and all(map(_is_column, value.values())):
        return _of_columns(value)
    return _of_records([value])


def _is_column(value: Any) -> bool:
    """Whether the value is a list or, in protocols with typed columns, an array."""
    return type(value) is list or (isinstance(value, np.ndarray) and value.ndim == 1)


def _of_columns(columns: dict[str, Values]) -> Sheet:
    names = list(columns)
    lengths = {name: len(values) for name, values in columns.items()}
    for name, length in lengths.items():
        if length != lengths[names[0]]:
            raise ClientError(
                f"expected columns of equal length; {names[0]} has"
                f" {count_words(lengths[names[0]])}, {name} has {count_words(length)}"
            )
    return Sheet(
        lengths[names[0]], len(names), lambda place: columns[names[place]], names, is_by_name=True
    )


def _of_array(array: Array, names: Sequence[str] | None) -> Sheet:
    if array.dtype == object and array.ndim > 2:
        raise ClientError(STRUCTURE)
    if array.ndim != 2:
        raise _not_two_dimensional(array.shape)
    rows, width = array.shape
    return Sheet(rows, width, lambda place: array[:, place], names)


def _of_rows(rows: list[Any], names: Sequence[str] | None) -> Sheet:
    lengths = [len(row) if type(row) is list else None for row in rows]
    for number, length in enumerate(lengths):
        if length != lengths[0]:
            raise ClientError(
                "expected rows of equal length;"
                f" row 0 has {count_words(lengths[0])}, row {number} has {count_words(length)}"
            )
    if not lengths or lengths[0] is None:
        raise _not_two_dimensional((len(rows),))
    columns = list(zip(*rows, strict=True))
    return Sheet(len(rows), lengths[0], lambda place: list(columns[place]), names)


def _not_two_dimensional(shape: Sequence[int]) -> ClientError:
    is_row = len(shape) == 1 and shape[0] > 0
    example = "; one row goes into two brackets: [[...]]" if is_row else ""
    return ClientError(
        f"expected rows of values, an array of 2 dimensions, got shape {list(shape)}{example}"
    )


def _sent_names(names: Any) -> list[str] | None:
    """The request's column names, or None if it has none; numbers become text, as in pandas."""
    if names is None:
        return None
    if isinstance(names, Iterable) and not isinstance(names, str):
        sent = list(names)
        if all(isinstance(name, str) for name in sent):
            return sent or None
        if all(isinstance(name, str | int | float) for name in sent):
            return list(map(str, sent))
    raise ClientError(f"expected names as a list of strings, got {_shown(names)}")


def _shown(names: Any) -> str:
    text = repr(names)
    return text if len(text) <= 80 else f"{text[:77]}..."
