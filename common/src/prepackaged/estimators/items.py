"""Read the rows of a request as items, such as documents or dicts of features."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from prepackaged.arrays import count_words
from prepackaged.casting import ABSENT, Values, cast
from prepackaged.errors import ClientError
from prepackaged.estimators.columns import DOCUMENTS
from prepackaged.sheets import Sheet, read_sheet
from prepackaged.signature import Column
from prepackaged.tables import Table, texts

ITEMS = (Column(),)  # one column of arbitrary values


def items_of(X: Any, names: Iterable[str] | None, kind: str) -> Table:
    """The items of a payload, for a step that takes items of `kind`; see `item_kind`.

    Documents may also be the only column of a table, and dicts the rows of a table with names.
    Raises `ClientError` for anything else.
    """
    if kind == "text":
        return _documents(X)
    items = _records(X, names) if kind == "dict" else _list_of(X)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return Table(ITEMS, (array,))


def _documents(X: Any) -> Table:
    label, values = "0", texts(X)
    if values is None:
        label, values = _only_column(read_sheet(X)) if _is_by_name(X) else ("0", _list_of(X))
    return Table(DOCUMENTS, (cast(values, DOCUMENTS[0], label),))


def _only_column(sheet: Sheet) -> tuple[str, Any]:
    """The label and values of a table's only column. Raises `ClientError` if there are several."""
    if sheet.width != 1:
        raise ClientError(f"expected one text in each row, got rows of {sheet.width} columns")
    return repr(sheet.names[0]) if sheet.names else "0", sheet.values(0)


def _is_by_name(X: Any) -> bool:
    """Whether the payload is an object or a list of objects, as tables with names are."""
    return isinstance(X, dict) or (isinstance(X, list) and bool(X) and type(X[0]) is dict)


def _records(X: Any, names: Iterable[str] | None) -> list[dict[str, Any]]:
    """A dict for each row: a record unchanged, or the row of a table with its column names."""
    if isinstance(X, dict):
        return _of_object(X)
    items = _list_of(X)
    if all(type(item) is dict for item in items):
        return items
    if not names:
        raise ClientError("expected records, objects of names and values; got rows without names")
    return _under_names(read_sheet(X, names))


def _of_object(X: dict[str, Any]) -> list[dict[str, Any]]:
    """One record, or the rows of an object of columns; a record's value may be a list of texts."""
    if not all(map(_is_multiple, X.values())):
        return _under_names(read_sheet(X))
    lengths = set(map(len, X.values()))
    if len(lengths) == 1 and lengths != {1}:
        raise ClientError(
            "expected a list of records; got an object of lists, which may be one record or"
            f" columns of {count_words(lengths.pop())}"
        )
    return [X]


def _is_multiple(value: Any) -> bool:
    """Whether it is a list of texts, which DictVectorizer accepts as the values of a feature."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _under_names(sheet: Sheet) -> list[dict[str, Any]]:
    columns = [_listed(sheet.values(place)) for place in range(sheet.width)]
    rows = zip(*columns, strict=True)
    named = (zip(sheet.names or (), row, strict=True) for row in rows)
    return [{name: value for name, value in row if value is not ABSENT} for row in named]


def _listed(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _list_of(X: Any) -> list[Any]:
    items = X.tolist() if isinstance(X, np.ndarray) else [X] if isinstance(X, str) else X
    if not isinstance(items, list) or not items:
        raise ClientError("expected a list with at least one item")
    return items
