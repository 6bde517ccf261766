"""Fast path for a single record whose values need no conversion."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.signature import Column

#: For a kind of column, the types of values that need no conversion, and the dtype.
PLAIN: dict[str, tuple[frozenset[type], Any]] = {
    "float64": (frozenset({float, int}), np.float64),
    "float32": (frozenset({float, int}), np.float32),
    "int64": (frozenset({int}), np.int64),
    "text": (frozenset({str}), object),
}


def record_in(payload: Any) -> dict[str, Any] | None:
    """The record in a payload that is exactly one record, else None."""
    record = payload[0] if type(payload) is list and len(payload) == 1 else payload
    return record if type(record) is dict else None


def plain_arrays(record: Mapping[str, Any], facts: Sequence[Column]) -> list[Array] | None:
    """The record's values, cast as `cast` does, each of shape [1].

    Returns None if a value is missing or may need a conversion.
    """
    arrays = []
    for fact in facts:
        value = record.get(fact.name or "")
        types, dtype = PLAIN.get(fact.kind, (frozenset(), None))
        if type(value) not in types or value != value:
            return None
        if fact.categories is not None and not fact.open:
            return None
        try:
            arrays.append(np.array([value], dtype))
        except OverflowError:
            return None
    return arrays
