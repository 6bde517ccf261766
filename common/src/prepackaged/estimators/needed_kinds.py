"""Find the value of the wrong kind that made a model fail, by calls with another in its place.

The facts about columns end at an author's own step, so a value that no fact rules out can make the
step fail. If the model answers once a number replaces a text or null, it needed a number there; if
it answers once a text replaces a number, it needed a text.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from prepackaged.arrays import Array, list_by_row
from prepackaged.cells import shown
from prepackaged.errors import ClientError
from prepackaged.estimators.columns import DOCUMENTS
from prepackaged.estimators.items import ITEMS
from prepackaged.signature import Column
from prepackaged.tables import NUMBERS, Table

logger = logging.getLogger(__name__)

MOST_COLUMNS = 3  # the most columns to try one by one; each costs a call
OF_VALUES = (TypeError, ValueError, AttributeError)  # the errors of operations on wrong types


class Wanted(NamedTuple):
    """A kind of value that a model may need, its Python type, and an example."""

    name: str
    kind: type
    example: Any


KINDS = (Wanted("a number", Real, 1.0), Wanted("a text", str, "a"))


def needed_kind(
    error: Exception, prepared: Any, predict: Callable[[Any], Any]
) -> ClientError | None:
    """The error for the value that must be a number or a text; None if there is no such value.

    `prepared` are the rows for which `predict` raised `error`.
    """
    table = _as_table(prepared) if isinstance(error, OF_VALUES) else None
    if table is None:
        return None
    for wanted, places in _tries(table):
        changed = _with(table, places, wanted)
        try:
            predict(changed if isinstance(prepared, Table) else changed.array())
        except Exception:
            logger.debug("A call with %s in the columns %s failed", wanted.name, places)
        else:
            return _wrong(table, places[0], wanted)
    return None


def _as_table(prepared: Any) -> Table | None:
    """The rows as columns; None for an array of numbers, and for documents and other items."""
    if isinstance(prepared, Table):
        is_items = prepared.facts is ITEMS or prepared.facts is DOCUMENTS
        return None if is_items else prepared
    if not isinstance(prepared, np.ndarray) or prepared.ndim != 2 or prepared.dtype.kind in NUMBERS:
        return None
    columns = tuple(np.array(prepared.T, object))
    return Table((Column(),) * len(columns), columns)


def _tries(table: Table) -> Iterator[tuple[Wanted, list[int]]]:
    """What to put into which columns in each call: into each column alone, then into all."""
    for wanted in KINDS:
        suspects = [
            place
            for place, (fact, array) in enumerate(zip(table.facts, table.arrays, strict=True))
            if fact.kind == "any" and _others(array, wanted)
        ]
        yield from ((wanted, [place]) for place in suspects[:MOST_COLUMNS])
        if len(suspects) > 1:
            yield wanted, suspects


def _others(array: Array, wanted: Wanted) -> list[int]:
    """The rows whose value is of another kind."""
    values = array.tolist()
    return [row for row, value in enumerate(values) if not isinstance(value, wanted.kind)]


def _with(table: Table, places: list[int], wanted: Wanted) -> Table:
    """The table with the example for each value of another kind in these columns."""
    arrays, facts = list(table.arrays), list(table.facts)
    for place in places:
        values = [
            value if isinstance(value, wanted.kind) else wanted.example
            for value in arrays[place].tolist()
        ]
        arrays[place] = np.array(values) if wanted.kind is Real else list_by_row(values)
        facts[place] = replace(facts[place], missing=Column().missing)
    return Table(tuple(facts), tuple(arrays))


def _wrong(table: Table, place: int, wanted: Wanted) -> ClientError:
    row, *_ = _others(table.arrays[place], wanted)
    value, label = table.arrays[place].tolist()[row], table.facts[place].label(place)
    return ClientError(f"row {row}, column {label}: expected {wanted.name}, got {shown(value)}")
