"""Find the value ranges of columns in a model's samples, if the model does not know them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from prepackaged.server.inference.anomalies import NUMBERS
from prepackaged.server.inference.decoded import DecodedColumns, stacked
from prepackaged.server.inference.drift import is_answer
from prepackaged.server.inference.hooks import prepare_hook
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.signature import Column, Signature, ValueRange, declared_signature

FEWEST_ROWS = 10  # fewer rows tell little about other rows


class SampleRanges:
    """Observes the requests of samples and records the range of each numeric column."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._signature = declared_signature(model) or Signature()
        self._columns = DecodedColumns(self._signature.inputs, prepare_hook(model))
        self._ends = np.full((2, len(self._columns.used)), np.nan)
        self._rows = 0

    def __call__(self, requests: Sequence[InferenceRequest], outcomes: Sequence[Any]) -> None:
        """Record the rows of the requests that the model answered."""
        pairs = zip(requests, outcomes, strict=True)
        found = [self._columns.of(each) for each, outcome in pairs if is_answer(outcome)]
        tables = [each for each in found if each is not None]
        self._rows += sum(map(len, tables))
        for values in stacked(tables):
            for place, array in enumerate(values):
                if array.dtype.kind in NUMBERS:
                    low, high = self._ends[:, place]
                    self._ends[:, place] = (
                        np.fmin(low, np.fmin.reduce(array)),
                        np.fmax(high, np.fmax.reduce(array)),
                    )

    def add_to_signature(self) -> None:
        """Add these ranges to the columns of the model's signature that have none.

        Does nothing if the samples have fewer than FEWEST_ROWS rows, or if there are no columns.
        """
        if self._rows < FEWEST_ROWS or not self._columns.used:
            return
        seen = iter(self._ends.T.tolist())
        columns = [each for each in self._signature.inputs or () if isinstance(each, Column)]
        inputs = tuple(_with_range(each, *next(seen)) if each.used else each for each in columns)
        self._model.signature = replace(self._signature, inputs=inputs)


def _with_range(column: Column, low: float, high: float) -> Column:
    if column.value_range is not None or not np.isfinite([low, high]).all():
        return column
    return replace(column, value_range=ValueRange(low, high, "samples"))
