"""Seldon's methods other than predict: decode the message, call the hook, encode the result.

The response has the format of the message, JSON or protobuf. If a model has hooks for whole
messages, seldon_core's functions call them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np
from google.protobuf.message import Message
from seldon_core import seldon_methods
from seldon_core.env_utils import NONIMPLEMENTED_IMAGE_MSG
from seldon_core.metrics import (
    AGGREGATE_METRIC_METHOD_TAG,
    FEEDBACK_METRIC_METHOD_TAG,
    INPUT_TRANSFORM_METRIC_METHOD_TAG,
    OUTPUT_TRANSFORM_METRIC_METHOD_TAG,
    ROUTER_METRIC_METHOD_TAG,
)
from seldon_core.proto import prediction_pb2
from seldon_core.user_model import SeldonNotImplementedError, SeldonResponse

from prepackaged.errors import ClientError, ResultError
from prepackaged.server.inference.hooks import Hooks, find_hook, has_any_hook, takes_meta
from prepackaged.server.protocols.seldon import json_codec, protobuf_codec
from prepackaged.server.protocols.seldon.json_codec import Request
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.signature import declared_signature

TAGS = {
    "transform_input": INPUT_TRANSFORM_METRIC_METHOD_TAG,
    "transform_output": OUTPUT_TRANSFORM_METRIC_METHOD_TAG,
    "route": ROUTER_METRIC_METHOD_TAG,
    "aggregate": AGGREGATE_METRIC_METHOD_TAG,
    "send_feedback": FEEDBACK_METRIC_METHOD_TAG,
}


@dataclass(frozen=True)
class Unit:
    """The server's node in an inference graph: its name, and its entry in `meta.requestPath`."""

    name: str = "0"
    path: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, unit_id: str | None, image: str) -> "Unit":
        """The unit with this name; without a name, the unit of a server outside of a graph."""
        return (
            cls() if unit_id is None else cls(unit_id, {unit_id: image or NONIMPLEMENTED_IMAGE_MSG})
        )


#: The hooks that seldon_core calls for a health probe.
HEALTH_HOOKS = ("health_status", "health_status_raw", "tags", "metrics", "class_names")


class Methods:
    """Calls a model's hooks other than predict with messages."""

    def __init__(self, model: Any, hooks: Hooks, metrics: Metrics, unit: Unit) -> None:
        self._unit = unit
        self._model = model
        self._hooks = hooks
        self._metrics = metrics
        self._own: dict[str, Callable[..., Any]] = {
            "transform_input": self._transform,
            "transform_output": self._transform,
            "route": self._route,
            "aggregate": self._aggregate,
            "send_feedback": self._send_feedback,
        }
        for method in list(self._own):
            if has_any_hook(model, *(f"{method}_{form}" for form in ("raw", "rest", "grpc"))):
                del self._own[method]

    def call(self, method: str, message: Any, context: RequestContext | None = None) -> Any:
        """Call a method; returns a protobuf message, a JSON value, or encoded JSON as bytes.

        Raises the error for the client, or the hook's exception.
        """
        if method in self._own:
            return self._own[method](method, message, context)
        extra = (self._unit.name,) if method == "send_feedback" else ()
        return getattr(seldon_methods, method)(self._model, message, *extra, self._metrics)

    @property
    def has_health(self) -> bool:
        """Whether the model has a hook for its health; without one, it counts as healthy."""
        return has_any_hook(self._model, *HEALTH_HOOKS)

    def health(self) -> Any:
        """The model's health as a JSON message. Raises the hook's exception."""
        return seldon_methods.health_status(self._model, self._metrics)

    def _transform(self, method: str, message: Any, context: RequestContext | None) -> Any:
        request = _decoded(message, context)
        try:
            result = self._with_meta(method, request)
        except SeldonNotImplementedError:
            result = request.value
        return self._answer(method, result, request, _codec_of(message))

    def _route(self, method: str, message: Any, context: RequestContext | None) -> Any:
        request = _decoded(message, context)
        response = SeldonResponse.create(self._with_meta(method, request))
        try:
            branch = index(response.data)  # accepts Python's and numpy's integers
        except TypeError:
            kind = type(response.data).__name__
            raise ResultError(f"{kind}; expected an int", method) from None
        answer = SeldonResponse(np.array([[branch]]), response.tags, response.metrics)
        return self._answer(method, answer, _less_meta(request), _codec_of(message))

    def _aggregate(self, method: str, message: Any, context: RequestContext | None) -> Any:  # noqa: ARG002  one signature
        codec = _codec_of(message)
        requests = [codec.decode(each) for each in _list_of(message)]
        if not requests:
            raise ClientError("expected messages to aggregate, got an empty list")
        values = [request.value for request in requests]
        result = self._hook(method)(values, [request.names for request in requests])
        return self._answer(method, result, _merged(requests), codec)

    def _send_feedback(self, method: str, feedback: Any, context: RequestContext | None) -> Any:  # noqa: ARG002  one signature
        """Handle feedback, which is always protobuf, even if the client sent JSON."""
        self._metrics.update_reward(feedback.reward)
        request, truth = map(_data_of, (feedback.request, feedback.truth))
        routing = feedback.response.meta.routing.get(self._unit.name)
        given = (request.value, request.names, feedback.reward, truth.value)
        try:
            result = self._hook(method)(*given, routing=routing)
        except SeldonNotImplementedError:
            result = None
        response = SeldonResponse.create(result)
        data = np.array([]) if response.data is None else response.data
        reply = SeldonResponse(data, response.tags, response.metrics)
        return self._answer(method, reply, request, protobuf_codec)

    def _hook(self, name: str) -> Callable[..., Any]:
        hook = find_hook(self._model, name)
        if hook is None:
            if hasattr(self._model, name):  # Seldon's placeholder
                raise SeldonNotImplementedError(f"{name} is not implemented")
            raise SeldonNotImplementedError(f"{name.capitalize()} not defined")
        return hook

    def _with_meta(self, name: str, request: Request) -> Any:
        hook = self._hook(name)
        meta = {"meta": request.meta} if takes_meta(hook) else {}
        return hook(request.value, request.names, **meta)

    def _answer(self, method: str, result: Any, request: Request, codec: Any) -> Any:
        answer = self._hooks.answer(result, self._metrics, TAGS[method])
        try:
            return codec.encode(answer, request, self._unit.path)
        except ResultError as error:
            raise ResultError(error.what, method) from error


def asked_parameters(request: Request, model: Any) -> dict[str, Any] | None:
    """The method that `meta.tags` chooses, if the model lists methods; None for the default."""
    method = (request.meta.get("tags") or {}).get("method") if request.meta else None
    signature = declared_signature(model)
    if method is None or signature is None or not signature.methods:
        return None
    return {"method": str(method)}


def _codec_of(message: Any) -> Any:
    return protobuf_codec if isinstance(message, Message) else json_codec


def _decoded(message: Any, context: RequestContext | None) -> Request:
    request: Request = _codec_of(message).decode(message)
    if context:
        request.set_context(context)
    return request


def _list_of(message: Any) -> Sequence[Any]:
    if isinstance(message, prediction_pb2.SeldonMessageList):
        return list(message.seldonMessages)
    listed = message.get("seldonMessages") if isinstance(message, dict) else message
    if not isinstance(listed, list):
        raise ClientError(
            "Invalid request data type: expected a list of messages,"
            " or an object with such a list as seldonMessages"
        )
    return listed


def _data_of(message: Any) -> Request:
    """The `data` of a message in feedback, the only part that hooks get."""
    data = protobuf_codec.decode(prediction_pb2.SeldonMessage(data=message.data))
    kind = data.kind if message.HasField("data") else ""
    puid = {"puid": message.meta.puid} if message.meta.puid else {}
    return Request(data.value, data.names, puid, kind=kind)


def _less_meta(request: Request) -> Request:
    """The request with only the puid in its meta, so that the response repeats nothing else."""
    puid = {"puid": request.meta["puid"]} if "puid" in request.meta else {}
    return Request(request.value, request.names, puid, kind=request.kind)


def _merged(requests: Sequence[Request]) -> Request:
    """The request for the response to several: the first, with the meta of all merged."""
    first = _less_meta(requests[0])
    for request in requests:
        for part in ("tags", "requestPath"):
            first.meta.setdefault(part, {}).update(request.meta.get(part) or {})
        first.meta.setdefault("metrics", []).extend(request.meta.get("metrics") or [])
    return first
