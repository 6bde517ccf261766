"""Find the text or null that made a model fail, by calls with a number in its place.

The facts about columns end at an author's own step, so a value that no fact rules out can make the
step fail. If the model answers once a number replaces the value, it needed a number there.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.cells import shown
from prepackaged.errors import ClientError
from prepackaged.estimators.columns import DOCUMENTS
from prepackaged.estimators.items import ITEMS
from prepackaged.signature import Column
from prepackaged.tables import NUMBERS, Table

logger = logging.getLogger(__name__)

NUMBER = 1.0
MOST_COLUMNS = 3  # the most columns to try one by one; each costs a call
OF_VALUES = (TypeError, ValueError, AttributeError)  # the errors of operations on wrong types


def needed_number(
    error: Exception, prepared: Any, predict: Callable[[Any], Any]
) -> ClientError | None:
    """The error for the value that must be a number; None if there is no such value.

    `prepared` are the rows for which `predict` raised `error`.
    """
    table = _as_table(prepared) if isinstance(error, OF_VALUES) else None
    if table is None:
        return None
    suspects = [place for place, array in enumerate(table.arrays) if _without_number(array)]
    for places in _tries(suspects):
        changed = _with_numbers(table, places)
        try:
            predict(changed if isinstance(prepared, Table) else changed.array())
        except Exception:
            logger.debug("A call with numbers in the columns %s failed", places, exc_info=True)
        else:
            return _wrong(table, places[0])
    return None


def _as_table(prepared: Any) -> Table | None:
    """The rows as columns; None if all are numbers, or for documents and other items."""
    if isinstance(prepared, Table):
        is_items = prepared.facts is ITEMS or prepared.facts is DOCUMENTS
        return None if is_items else prepared
    if (
        isinstance(prepared, np.ndarray)
        and prepared.ndim == 2
        and prepared.dtype.kind not in "biuf"
    ):
        columns = tuple(np.array(prepared.T, object))
        return Table((Column(),) * len(columns), columns)
    return None


def _tries(suspects: list[int]) -> Iterator[list[int]]:
    """The columns to change in each call: each alone, then all."""
    yield from ([place] for place in suspects[:MOST_COLUMNS])
    if len(suspects) > 1:
        yield suspects


def _without_number(array: Array) -> list[int]:
    """The rows whose value is no number."""
    if array.dtype.kind in NUMBERS + "M":  # numbers and dates
        return []
    return [row for row, value in enumerate(array.tolist()) if not isinstance(value, Real)]


def _with_numbers(table: Table, places: list[int]) -> Table:
    """The table with a number for each other value in these columns."""
    arrays, facts = list(table.arrays), list(table.facts)
    for place in places:
        values = arrays[place].tolist()
        numbers = [value if isinstance(value, Real) else NUMBER for value in values]
        arrays[place], facts[place] = np.array(numbers), replace(facts[place], kind="any")
    return Table(tuple(facts), tuple(arrays))


def _wrong(table: Table, place: int) -> ClientError:
    row, *_ = _without_number(table.arrays[place])
    value, label = table.arrays[place].tolist()[row], table.facts[place].label(place)
    return ClientError(f"row {row}, column {label}: expected a number, got {shown(value)}")
