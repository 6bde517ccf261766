"""The columns of requests as the model got them: cast by its signature."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.server.inference.anomalies import NUMBERS, Values
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.signature import Column, Facts
from prepackaged.tables import Columns, Table

Prepare = Callable[[Any, list[str]], Any]


class DecodedColumns:
    """Reads the columns that a model uses; `prepare` is its hook, or None."""

    def __init__(self, inputs: Facts | None, prepare: Prepare | None = None) -> None:
        columns = Columns.of(inputs)
        #: Empty if the model takes tensors.
        self.used: tuple[Column, ...] = columns.used if columns.facts else ()
        self._prepare = prepare or columns.table

    def of(self, request: InferenceRequest) -> Table | Array | None:
        """The request's columns; None if the payload does not have the model's columns."""
        value: Any = request.value
        if request.names or not self._has_columns(value):  # a large request, not prepared yet
            try:
                value = self._prepare(value, request.names)
            except Exception:  # the model took it otherwise
                return None
        table: Table | Array | None = value if self._has_columns(value) else None
        return table

    def _has_columns(self, value: Any) -> bool:
        if isinstance(value, Table):
            return len(value.arrays) == len(self.used)
        is_table = isinstance(value, np.ndarray) and value.ndim == 2
        return is_table and value.shape[1] == len(self.used) and value.dtype.kind in NUMBERS


def stacked(tables: Sequence[Table | Array]) -> list[Values]:
    """The values of all tables, column by column: those of arrays, and those of a `Table`."""
    arrays = [each for each in tables if isinstance(each, np.ndarray)]
    others = [each for each in tables if isinstance(each, Table)]
    values: list[Values] = [np.concatenate(arrays).T] if arrays else []
    return [*values, others[0].stacked(others[1:]).arrays] if others else values
