"""Values that a column accepts, for examples and trials."""

from typing import Any

import numpy as np

from prepackaged.signature import Column, ValueRange

MOST = 5  # the most categories among the example values
VALUES: dict[str, list[Any]] = {
    "float64": [0.5, 0.0, 1.0, -2.5, 40.0],
    "float32": [0.5, 0.0, 1.0, -2.5, 40.0],
    "int64": [1, 0, 7],
    "bool": [True, False],
    "text": ["a", "", "of several words"],
    "datetime": ["2026-01-31T12:00:00", "2020-02-29T00:00:00"],
    "any": [1, 0.0, -2.5],
}


def example_values(column: Column, most: int = MOST) -> list[Any]:
    """Some JSON values for the column, the most likely first; empty if none are known.

    They are categories that the model knows, else the middle of the column's range and values of
    its kind. Only the author of the model can tell whether they make sense.
    """
    if column.categories:
        some = column.categories[:most]
        return [each.item() if isinstance(each, np.generic) else each for each in some]
    usual = VALUES.get(column.kind, [])
    return usual if column.value_range is None else [*_middle(column, column.value_range), *usual]


def _middle(column: Column, known: ValueRange) -> list[Any]:
    """A list with a rounded number from the middle of the range; empty for other kinds."""
    middle = known.low / 2 + known.high / 2
    short = float(f"{middle:.3g}")
    if column.kind == "int64":
        return [round(middle)]
    is_number = column.kind in ("float64", "float32")
    return [short if known.low <= short <= known.high else middle] if is_number else []
