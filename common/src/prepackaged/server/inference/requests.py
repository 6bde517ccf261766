"""A request to the model and its prediction, in the form that all protocols share."""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prepackaged.server.telemetry.context import RequestContext
from prepackaged.tables import Table


@dataclass(slots=True)
class InferenceRequest:
    """A request for a prediction.

    `value` is an array, arrays by name, or whatever else the model's `predict` accepts; `names` are
    the names of its columns. `parameters` say how to predict: requests share a call to the model
    only if theirs are equal. `meta` is other data of the request, for a call for this request
    alone. `context` is the transport's request.
    """

    value: Any
    names: list[str]
    meta: dict[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] | None = None
    context: RequestContext | None = None

    def set_context(self, context: RequestContext) -> None:
        """Keep the request that brought it, and record there how many rows it has."""
        self.context = context
        context.rows = row_count(self.value)

    def prepare(self, prepare: Callable[[Any, list[str]], Any]) -> None:
        """Let the model convert the payload for its `predict`. Raises what its hook raises."""
        prepared = prepare(self.value, self.names)
        self.names = []  # heeded
        if prepared is not self.value:
            self.value = prepared
            if self.context is not None:
                self.context.rows = row_count(prepared)

    @property
    def rows(self) -> int:
        """The number of rows; 1 for a payload without rows."""
        context = self.context
        return (row_count(self.value) if context is None else context.rows) or 1


@dataclass(slots=True)  # not frozen, which takes four times as long to make
class Prediction:
    """The model's result, with its own names, tags and metrics."""

    value: Any
    names: list[str]
    tags: dict[str, Any]
    metrics: list[dict[str, Any]]


def row_count(value: Any) -> int | None:
    """The rows of an array, a table, or the first of several arrays by name; otherwise None."""
    if isinstance(value, np.ndarray):
        return len(value) if value.ndim else None
    if isinstance(value, Table):
        return len(value)
    if isinstance(value, dict) and value:
        return row_count(next(iter(value.values())))
    return None


def cell_count(value: Any) -> int:
    """About how many values a payload has that is not an array: rows, records, columns, or one."""
    if isinstance(value, dict):
        return sum(len(each) if isinstance(each, Sized) else 1 for each in value.values())
    if isinstance(value, list) and value:
        return len(value) * (len(value[0]) if isinstance(value[0], Sized) else 1)
    return 1
