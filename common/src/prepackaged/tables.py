"""From a request's payload to the table that a framework wants, or a `ClientError`.

A payload is what the microservice hands to `predict`: an ndarray (`data`), a string
(`strData`), bytes (`binData`) or a JSON value (`jsonData`). As JSON, a table is a list of
rows, a list of records, or one record.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.errors import ClientError
from prepackaged.signature import Facts

if TYPE_CHECKING:
    from pandas import DataFrame

# What a client calls the payloads that are no table.
PAYLOADS = {
    bytes: "binData",
    str: "a string",
    type(None): "null",
    bool: "a boolean",
} | dict.fromkeys((int, float), "a number")


@dataclass(frozen=True)
class Columns:
    """The columns that a model was trained on.

    `names` are in the order of training, None where the model knows none. `count` is their
    number, None where the model does not know it.
    """

    names: tuple[str, ...] | None = None
    count: int | None = None

    @classmethod
    def of(cls, inputs: Facts | None) -> "Columns":
        """The columns that a signature's `inputs` are; of unknown inputs, of any number."""
        names = [each.name for each in inputs or () if each.name is not None]
        is_named = bool(names) and len(names) == len(inputs or ())
        return cls(tuple(names) if is_named else None, None if inputs is None else len(inputs))

    def array(self, payload: Any, names: Iterable[str] | None = None) -> Array:
        """The payload as an array of shape [rows, columns], columns in the order of training.

        Numbers become a numeric array, where null is NaN; as soon as one value is text, an
        object array of the values unchanged. Raises `ClientError` for no rows, rows
        of unequal length, a wrong number of columns, and missing or unknown names.
        """
        rows, record_names = _rows(payload)
        if record_names and not self.names:
            raise ClientError(
                "expected rows in the order of training: this model knows no column names,"
                f" got records with {', '.join(record_names)}"
            )
        table = _two_dimensional(rows)
        if self.names and (sent := _sent_names(names if record_names is None else record_names)):
            table = table[:, self._order(sent, self.names, table.shape[1])]
        self._check_count(table)
        return numeric_if_possible(table)

    def frame(self, payload: Any, names: Iterable[str] | None = None) -> "DataFrame":
        """The payload as a pandas DataFrame under the names of training, a dtype for each column.

        Raises what `array` raises.
        """
        from pandas import DataFrame  # in the images whose models select columns by name

        table = self.array(payload, names)
        values = table.tolist() if table.dtype == object else table
        return DataFrame(values, columns=self.names)

    def _order(self, sent: list[str], names: tuple[str, ...], width: int) -> list[int]:
        if len(sent) != width:
            raise ClientError(f"expected one name a column, got {len(sent)} names, {width} columns")
        place, known = {name: number for number, name in enumerate(sent)}, set(names)
        problems = {
            "missing": [name for name in names if name not in place],
            "unknown": [name for name in place if name not in known],
            "sent twice": sorted(name for name, times in Counter(sent).items() if times > 1),
        }
        if wrong := "; ".join(
            f"{what}: {', '.join(them)}" for what, them in problems.items() if them
        ):
            raise ClientError(f"column names are wrong: {wrong}; expected {', '.join(names)}")
        return [place[name] for name in names]

    def _check_count(self, table: Array) -> None:
        count = len(self.names) if self.names else self.count
        if count is not None and table.shape[1] != count:
            raise ClientError(
                f"expected rows of {_count(count)}, got rows of {table.shape[1]}"
                f" (shape {list(table.shape)})"
            )


def texts(payload: Any) -> list[str] | None:
    """The payload as a list of strings, one a document; None where it is anything else.

    Takes a string, a list of strings, and a table of strings with a single column.
    """
    if isinstance(payload, str):
        return [payload]
    if not isinstance(payload, list | np.ndarray):
        return None
    values = np.array(payload, dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1 and values.size and all(isinstance(value, str) for value in values):
        return [str(value) for value in values]
    return None


def find_cell(table: Any, is_wrong: Callable[[Any], bool]) -> tuple[int, int, Any] | None:
    """Row, column and value of the first wrong cell of an array or DataFrame, by rows."""
    for row, values in enumerate(np.asarray(table, dtype=object)):
        for column, value in enumerate(np.atleast_1d(values)):
            if is_wrong(value):
                return row, column, value
    return None


def _rows(payload: Any) -> tuple[Any, list[str] | None]:
    """The payload's rows, and the names where its records carry them."""
    if isinstance(payload, np.ndarray):
        return payload, None
    if isinstance(payload, dict):
        payload = [payload]
    if not isinstance(payload, list):
        kind = PAYLOADS.get(type(payload), type(payload).__name__)
        raise ClientError(
            f"expected rows of values in data.ndarray, data.tensor or jsonData, got {kind}"
        )
    if payload and all(isinstance(row, dict) for row in payload):
        return _records(payload)
    return payload, None


def _sent_names(names: Any) -> list[str]:
    """The request's column names, none if it has none; nobody has checked them before."""
    if names is None:
        return []
    if isinstance(names, Iterable) and not isinstance(names, str):
        sent = list(names)
        if all(isinstance(name, str) for name in sent):
            return sent
    raise ClientError(f"expected names as a list of strings, got {names!r}")


def _records(records: Sequence[dict[str, Any]]) -> tuple[list[list[Any]], list[str]]:
    names = list(records[0])
    for number, record in enumerate(records):
        if record.keys() != records[0].keys():
            differing = ", ".join(sorted(record.keys() ^ records[0].keys()))
            raise ClientError(f"record {number} and record 0 differ in their names: {differing}")
    return [[record[name] for name in names] for record in records], names


def _two_dimensional(rows: Any) -> Array:
    table = rows if isinstance(rows, np.ndarray) else _array_of(rows)
    if table.dtype == object and (table.ndim > 2 or _holds_structure(table)):
        raise ClientError("expected rows of plain values; a row holds a list or an object")
    if table.ndim != 2:
        example = (
            "; one row goes into two brackets: [[...]]" if table.ndim == 1 and table.size else ""
        )
        raise ClientError(
            "expected rows of values, an array of 2 dimensions,"
            f" got shape {list(table.shape)}{example}"
        )
    if 0 in table.shape:
        raise ClientError(
            f"expected at least one row and one column, got shape {list(table.shape)}"
        )
    return table


def _holds_structure(table: Array) -> bool:
    return any(isinstance(value, list | dict) for value in table.flat)


def _array_of(rows: list[Any]) -> Array:
    lengths = [len(row) if isinstance(row, list) else None for row in rows]
    for number, length in enumerate(lengths):
        if length != lengths[0]:
            raise ClientError(
                "expected rows of equal length;"
                f" row 0 has {_count(lengths[0])}, row {number} has {_count(length)}"
            )
    return np.array(rows, dtype=object)


def _count(length: int | None) -> str:
    if length is None:
        return "a single value"
    return "1 value" if length == 1 else f"{length} values"


def numeric_if_possible(table: Array) -> Array:
    """Numbers as they are, null as NaN, anything with text as objects."""
    if table.dtype.kind in "biufc":
        return table
    values = table.astype(object)
    values[values == np.array(None)] = np.nan
    if all(isinstance(value, Real) for value in values.flat):
        return _packed(values)
    return values


def _packed(values: Array) -> Array:
    """Python numbers in the dtype that numpy finds for them; float64 for what has none."""
    packed = np.array(values.tolist())
    if packed.dtype.kind in "biuf":
        return packed
    try:
        return values.astype(np.float64)
    except OverflowError as error:
        raise ClientError("expected numbers within 64-bit floating point; one is larger") from error
