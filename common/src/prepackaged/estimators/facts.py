"""Combine the facts about columns from several steps."""

from collections.abc import Sequence
from dataclasses import replace

from prepackaged.estimators.ranges import better
from prepackaged.signature import UNKNOWN, Column

Facts = list[Column]
ANY = Column()


def aligned(facts: Facts, count: int) -> Facts:
    """Facts about outputs as facts about `count` inputs; if counts differ, the common facts."""
    return facts if len(facts) == count else [common(facts)] * count


def common(facts: Facts) -> Column:
    """The facts without ranges if they are equal for all columns, else no facts."""
    return replace(facts[0], value_range=None) if len(set(facts)) == 1 else ANY


def merged(several: Sequence[Facts], count: int) -> Facts:
    """The facts about columns that several steps get."""
    known: Facts = [Column(used=False)] * count
    for facts in several:
        known = [both(*each) for each in zip(known, facts, strict=True)]
    return known


def both(first: Column, second: Column) -> Column:
    """The facts about a column that two steps use."""
    if not (first.used and second.used):
        return first if first.used else second
    kinds = {first.kind, second.kind} - {"any"}
    finer = second if first.categories is None else first
    return Column(
        kind=next(iter(kinds)) if len(kinds) == 1 else "any",
        categories=finer.categories,
        missing=second.missing if first.missing is UNKNOWN else first.missing,
        nullable=first.nullable and second.nullable,
        open=finer.open,
        value_range=better(first.value_range, second.value_range),
    )
