"""What a protocol asks of the model, and what the model answered: the same for all protocols."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prepackaged.server.telemetry.context import RequestContext


@dataclass(slots=True)
class InferenceRequest:
    """A prediction that is asked for.

    `value` is an array, arrays by name, or whatever else the model's `predict` takes; `names`
    are those of its columns. `parameters` say how to predict: requests share a call of the model
    only when theirs are equal. `meta` is what else was sent, for a call for this request
    alone. `context` is the request that brought it.
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

    @property
    def rows(self) -> int:
        """How many rows the model has to answer; 1 for what has none."""
        context = self.context
        return (row_count(self.value) if context is None else context.rows) or 1


@dataclass(slots=True)  # not frozen, which takes four times as long to make
class Prediction:
    """What the model returned, with the names, tags and metrics that are its own."""

    value: Any
    names: list[str]
    tags: dict[str, Any]
    metrics: list[dict[str, Any]]


def row_count(value: Any) -> int | None:
    """The rows of an array, or of the first of several by name; None for anything else."""
    if isinstance(value, np.ndarray):
        return len(value) if value.ndim else None
    if isinstance(value, dict) and value:
        return row_count(next(iter(value.values())))
    return None
