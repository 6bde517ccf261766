"""Rows for the trial of a model, made from its signature."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from prepackaged.casting import cast
from prepackaged.example_values import VALUES, example_values
from prepackaged.signature import Column
from prepackaged.tables import Table

ROWS = 5


def trial_tables(facts: Sequence[Column]) -> Iterator[Table]:
    """One row of known values, several such rows, and rows with unknown or missing values."""
    known = [_known(fact) for fact in facts]
    yield _table(facts, [values[:1] for values in known])
    yield _table(facts, [list(islice(cycle(values), ROWS)) for values in known])
    strange = [_strange(fact) + values for fact, values in zip(facts, known, strict=True)]
    yield _table(facts, [list(islice(cycle(values), ROWS)) for values in strange])


def _known(fact: Column) -> list[Any]:
    return example_values(fact) or [None]


def _strange(fact: Column) -> list[Any]:
    missing = [None] if fact.nullable else []
    return missing + (VALUES.get(fact.kind, [])[:1] if fact.open else [])


def _table(facts: Sequence[Column], columns: list[list[Any]]) -> Table:
    arrays = (
        cast(values, fact, str(fact.name)) for fact, values in zip(facts, columns, strict=True)
    )
    return Table(tuple(facts), tuple(arrays))
