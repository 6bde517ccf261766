"""Predictions over REST, for all protocols."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from prepackaged.arrays import UnequalLengthsError
from prepackaged.server.inference.hooks import find_hook
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.inference.requests import InferenceRequest, Prediction
from prepackaged.server.protocols.errors import naming_the_input
from prepackaged.server.protocols.json_reading import expected, memory_of
from prepackaged.server.protocols.results import finish
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.signature import declared_signature

#: Reads a request's body. Raises `ClientError`.
Read = Callable[[Exchange], InferenceRequest]
#: Creates the response to a request. Raises `ModelError` or `ClientError`.
Encode = Callable[[Prediction, Any], Response]


class PredictionRoute:
    """The handler of a route for predictions.

    Large bodies are parsed, and large responses encoded, on separate threads.
    """

    def __init__(self, predictor: Predictor, read: Read, encode: Encode) -> None:
        self._predictor = predictor
        self._read_body = read
        self._encode = encode
        self._has_predict = find_hook(predictor.model, "predict") is not None

    def __call__(self, exchange: Exchange) -> None:
        """Queue a prediction; its result becomes the response.

        Raises `TransportError` if the model has only Seldon's raw hooks.
        """
        if not self._has_predict:
            raise TransportError(501, "expected a model with predict, got one without")
        if len(exchange.body) > LARGE:
            exchange.prepare(partial(self._read_large, exchange), partial(self._queue, exchange))
        else:
            self._queue(exchange, self._read(exchange))

    def _read_large(self, exchange: Exchange) -> InferenceRequest:
        exchange.hold(memory_of(exchange.body))
        return self._read(exchange)

    def _read(self, exchange: Exchange) -> InferenceRequest:
        try:
            return self._read_body(exchange)
        except UnequalLengthsError as error:
            raise naming_the_input(self._predictor.model, error) from None

    def _queue(self, exchange: Exchange, request: InferenceRequest) -> None:
        request.set_context(exchange)
        done = partial(finish, lambda prediction: self._encode(prediction, request), exchange)
        exchange.on_cancel = self._predictor.predict(request, done).cancel


def add_parameters(request: InferenceRequest, parameters: Any, name: str, model: Any) -> None:
    """Add `parameters`, the member `name` of a body or None, to a request.

    The model gets them as `meta`. If it has several methods, the parameter `method` chooses one,
    and requests for the same method share calls. Raises `ClientError` if `parameters` is no object.
    """
    if parameters is None:
        return
    if not isinstance(parameters, Mapping):
        raise expected(f"{name} as an object", parameters)
    request.meta = dict(parameters)
    signature = declared_signature(model)
    if signature and signature.methods and "method" in parameters:
        request.parameters = {"method": str(parameters["method"])}
