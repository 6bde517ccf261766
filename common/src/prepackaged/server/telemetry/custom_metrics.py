"""Custom metrics as a model's hooks report them: lists of objects with key, type and value."""

import json
import re
import reprlib
from typing import Any

from seldon_core.metrics import COUNTER, TIMER, validate_metrics

from prepackaged.errors import ModelError

# `_total` is the suffix of a counter's name, and not a name by itself
METRIC_NAME = re.compile("(?!_total$)[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile("(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
LONGEST = 500  # characters of metrics that a message shows


class BadMetricError(ModelError):
    """A custom metric is not one, or Prometheus would refuse it: HTTP 500."""

    reason = "MICROSERVICE_BAD_METRIC"


def validate(metrics: Any) -> None:
    """Raise `BadMetricError` unless these are metrics as a hook must return them."""
    if not (_are_dicts(metrics) and validate_metrics(metrics)):
        raise _bad(metrics, _expected(metrics))
    for metric in metrics:
        if problem := _problem(metric):
            raise _bad(metrics, problem)


def filled(metrics: Any) -> Any:
    """The metrics with the default type and value filled in."""
    defaults = {"type": COUNTER, "value": 0}
    return [defaults | metric for metric in metrics] if _are_dicts(metrics) else metrics


def _expected(metrics: Any) -> str:
    expected = "expected a list of objects with key, type and value"
    if not isinstance(metrics, list):
        return f"{expected}, got {type(metrics).__name__}"
    return f"{expected}, of the type COUNTER, GAUGE or TIMER, and a number as value"


def _are_dicts(metrics: Any) -> bool:
    return isinstance(metrics, list) and all(isinstance(metric, dict) for metric in metrics)


def _problem(metric: dict[str, Any]) -> str | None:
    key, tags = metric["key"], metric.get("tags", {})
    if not _is_name(key, METRIC_NAME):
        return f"Prometheus does not allow a metric named {reprlib.repr(key)}"
    if key.startswith("prepackaged_"):
        return "names that begin with prepackaged_ are the server's own"
    if not (isinstance(tags, dict) and all(isinstance(value, str) for value in tags.values())):
        return "expected tags as an object of strings"
    for name in tags:
        if not _is_name(name, LABEL_NAME) or (name == "le" and metric["type"] == TIMER):
            return f"Prometheus does not allow a label named {reprlib.repr(name)}"
    try:
        number_of(metric["value"])
    except (TypeError, ValueError, OverflowError):
        return "expected a number as value"
    return None


def _is_name(text: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _bad(metrics: Any, why: str) -> BadMetricError:
    try:
        shown = json.dumps(metrics, default=repr)
    except (TypeError, ValueError, RecursionError):
        shown = type(metrics).__name__
    if len(shown) > LONGEST:
        shown = f"{shown[:LONGEST]}..."
    return BadMetricError(f"Bad metric created during request: {shown}: {why}")


def number_of(value: Any) -> float:
    """A metric's value, which may be a number of numpy or torch. Others raise Python's error."""
    return float(value.item() if hasattr(value, "item") else value)
