"""Encode predictions in MLflow's form, or as CSV."""

import csv
import io
import math
from typing import Any

import numpy as np

from prepackaged.errors import ModelError
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.mlflow.requests import MlflowRequest
from prepackaged.server.protocols.results import from_result
from prepackaged.server.protocols.row_answers import dump_outputs
from prepackaged.server.transport.exchange import Response, TransportError


def encoded(prediction: Prediction, request: MlflowRequest) -> Response:
    """The response: `{"predictions"}`, or CSV if the client requests it."""
    value = prediction.value
    if request.wants_csv:
        return Response(_csv(value).encode(), content_type="text/csv; charset=utf-8")
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        value = value.to_dict(orient="records")
    return Response(b'{"predictions":%b}' % dump_outputs(value))


def _csv(value: Any) -> str:
    """CSV without a header, as SageMaker's own algorithms answer; null is empty."""
    try:
        array = np.atleast_1d(from_result(value))
    except ModelError:
        array = np.empty((0, 0, 0))
    if array.ndim > 2:
        raise TransportError(
            406, "expected Accept: application/json, since the answer is no table, got text/csv"
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in array.reshape(len(array), -1).tolist():
        writer.writerow(map(_cell, row))
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if isinstance(value, float) and not math.isfinite(value) else value
