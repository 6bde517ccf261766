"""A single record is cast exactly like the same record in a list."""

import math
from typing import Any

import numpy as np
import pytest

from prepackaged import ClientError, Column, Columns

FACTS = (
    Column("age", "float64"),
    Column("size", "float32", nullable=False),
    Column("rooms", "int64"),
    Column("city", "text", ("Taipei", "Tainan")),
    Column("way", "text", ("air", "rail"), open=False),
)
COLUMNS = Columns(tuple(str(fact.name) for fact in FACTS), len(FACTS), FACTS)
OPEN = Columns(COLUMNS.names[:4] if COLUMNS.names else None, 4, FACTS[:4])
RECORD: dict[str, Any] = {"age": 30.5, "size": 2.25, "rooms": 3, "city": "Tainan"}
OTHERS = {
    "as they are": {},
    "whole numbers": {"age": 30, "size": 2},
    "a new category": {"city": "Hualien"},
    "numbers as text": {"age": "30.5", "rooms": "3"},
    "a whole float": {"rooms": 3.0},
    "null": {"age": None, "city": None},
    "NaN": {"age": math.nan},
    "a flag": {"age": True},
    "a column of which nobody knows": {"colour": "red"},
    "no place for null": {"size": None},
    "too large": {"rooms": 2**63},
    "too large for a float": {"age": 10**400},
    "a list": {"city": ["Tainan"]},
    "text for a number": {"age": "old"},
}


def cast(columns: Columns, payload: Any) -> Any:
    """Return the dtypes and values of the first row, or the error."""
    try:
        arrays = columns.table(payload).arrays
    except ClientError as error:
        return str(error)
    return [(array.dtype, repr(array.tolist()[0])) for array in arrays]


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("columns", [OPEN, COLUMNS], ids=["open", "with a closed one"])
def test_a_single_record_is_cast_like_one_of_several(
    columns: Columns, change: dict[str, Any]
) -> None:
    """A record gives the same dtypes, values and errors alone, in a list and twice in a list."""
    record = {**RECORD, **({} if columns is OPEN else {"way": "air"}), **change}
    expected = cast(columns, [record, record])
    assert [cast(columns, record), cast(columns, [record])] == [expected, expected]


@pytest.mark.parametrize("missing", RECORD)
def test_a_record_without_a_column_is_refused(missing: str) -> None:
    """A record without a column is refused, also if it has an unknown name instead."""
    others = {name: value for name, value in RECORD.items() if name != missing}
    for record in (others, {**others, "colour": "red"}):
        with pytest.raises(ClientError, match=f"missing: {missing}"):
            OPEN.table([record])


def test_the_order_of_a_record_does_not_matter() -> None:
    """Columns are matched by name, in any order."""
    table = OPEN.table([dict(reversed(RECORD.items()))])
    assert [array.tolist() for array in table.arrays] == [[30.5], [2.25], [3], ["Tainan"]]
    assert [array.dtype for array in table.arrays] == [np.float64, np.float32, np.int64, object]


def test_an_unknown_category_is_refused() -> None:
    """An unknown category in a closed column is an error that lists the known ones."""
    with pytest.raises(ClientError, match="row 0, column 'way': expected one of 'air', 'rail'"):
        COLUMNS.table([{**RECORD, "way": "sea"}])
