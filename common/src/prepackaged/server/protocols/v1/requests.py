"""Read bodies of `:predict` (reference: TensorFlow Serving, api_rest.md, "Predict API")."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prepackaged.errors import ClientError
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.protocols.json_reading import expected
from prepackaged.server.protocols.prediction_routes import add_parameters
from prepackaged.server.protocols.row_requests import only_one, read_object, rows_of
from prepackaged.server.transport.exchange import Exchange

SIGNATURE = "serving_default"


@dataclass(slots=True)
class V1Request(InferenceRequest):
    """A requested prediction; `instances` is their number, None if the body has `inputs`."""

    instances: int | None = None


class Reader:
    """Read requests for one model. The body is JSON, whatever its Content-Type is.

    `instances` are rows: values, lists, or objects with a value for each input or column.
    `inputs` are columns: one tensor, or an object of tensors by name. `signature_name` is
    TensorFlow's; `parameters`, as in Vertex AI and KServe, choose how to predict.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._takes_lists = bool(getattr(model, "takes_lists", False))
        self._signature = served_signature(model)

    def __call__(self, exchange: Exchange) -> V1Request:
        """Read a body. Raises `ClientError` for any error in it."""
        message = read_object(exchange.body, None if self._takes_lists else "instances")
        self._check_signature(message.get("signature_name"))
        form = only_one(message, "instances", "inputs")
        value = message[form]
        request = self._instances(value) if form == "instances" else self._inputs(value)
        add_parameters(request, message.get("parameters"), "parameters", self._model)
        return request

    def _instances(self, instances: Any) -> V1Request:
        if not isinstance(instances, list | np.ndarray):
            raise expected("instances as a list", instances)
        value = rows_of(instances, as_lists=self._takes_lists)
        return V1Request(value, [], instances=len(instances))

    def _inputs(self, inputs: Any) -> V1Request:
        return V1Request(rows_of(inputs, as_lists=self._takes_lists), [])

    def _check_signature(self, name: Any) -> None:
        if name not in (None, "", self._signature):
            shown = repr(name)[:60]
            raise ClientError(f"expected signature_name as {self._signature!r}, got {shown}")


def served_signature(model: Any) -> str:
    """The name of the served signature: TensorFlow's, else the default name."""
    custom = getattr(model, "custom", None)
    name = custom.get("signature", SIGNATURE) if isinstance(custom, dict) else SIGNATURE
    return str(name)
