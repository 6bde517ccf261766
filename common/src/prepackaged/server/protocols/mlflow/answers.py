"""Encode predictions in MLflow's form, or as CSV."""

import csv
import io
import math
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from prepackaged.errors import ModelError
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.mlflow.requests import MlflowRequest
from prepackaged.server.protocols.results import from_result
from prepackaged.server.protocols.row_answers import dump_outputs
from prepackaged.server.transport.exchange import Response, TransportError


def encoded(prediction: Prediction, request: MlflowRequest) -> Response:
    """The response: `{"predictions": ...}`, or CSV if the client requests it."""
    value = prediction.value
    if request.wants_csv:
        return Response(
            _csv(value).encode(errors="replace"), content_type="text/csv; charset=utf-8"
        )
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        value = value.to_dict(orient="records")
    return Response(b'{"predictions":%b}' % dump_outputs(value))


def _csv(value: Any) -> str:
    """CSV without a header, as SageMaker's built-in algorithms return; null is empty."""
    try:
        array = np.atleast_1d(from_result(value))
    except ModelError:
        array = np.empty((0, 0, 0))
    if array.ndim > 2:
        raise TransportError(
            406, "expected Accept: application/json, since the answer is not a table, got text/csv"
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in array.reshape(len(array), math.prod(array.shape[1:])).tolist():
        writer.writerow(map(_cell, row))
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value for csv.writer, which writes None as empty; lists, objects and booleans are JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    is_plain = isinstance(value, str | int | date | Decimal) and not isinstance(value, bool)
    return value if is_plain or value is None else dump(value).decode()
