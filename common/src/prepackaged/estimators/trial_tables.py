"""Rows to try a model with, made of what its signature knows."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from prepackaged.casting import cast
from prepackaged.signature import Column
from prepackaged.tables import Table

ROWS = 5
VALUES: dict[str, list[Any]] = {
    "float64": [0.0, 1.0, -2.5, 40.0],
    "float32": [0.0, 1.0, -2.5, 40.0],
    "int64": [0, 1, 7],
    "bool": [True, False],
    "text": ["", "a", "of several words"],
    "datetime": ["2020-02-29T12:00:00", "1999-12-31T00:00:00"],
    "any": [0.0, 1.0, -2.5],
}


def trial_tables(facts: Sequence[Column]) -> Iterator[Table]:
    """One row of known values, several rows, and several with values unknown or missing."""
    known = [_known(fact) for fact in facts]
    yield _table(facts, [values[:1] for values in known])
    yield _table(facts, [list(islice(cycle(values), ROWS)) for values in known])
    strange = [_strange(fact) + values for fact, values in zip(facts, known, strict=True)]
    yield _table(facts, [list(islice(cycle(values), ROWS)) for values in strange])


def _known(fact: Column) -> list[Any]:
    return list(fact.categories[:ROWS]) if fact.categories else VALUES.get(fact.kind, [None])


def _strange(fact: Column) -> list[Any]:
    missing = [None] if fact.nullable else []
    return missing + (VALUES.get(fact.kind, [])[:1] if fact.open else [])


def _table(facts: Sequence[Column], columns: list[list[Any]]) -> Table:
    arrays = (
        cast(values, fact, str(fact.name)) for fact, values in zip(facts, columns, strict=True)
    )
    return Table(tuple(facts), tuple(arrays))
