"""The hooks of Seldon's that a model implements, looked up once, and their calls.

For every request, seldon_core calls each hook and catches the error that says that the model does
not have it; the functions here give the same answers (seldon_core.user_model, 1.17.1).
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from typing import Any

import numpy as np
from seldon_core.user_model import (
    INCLUDE_METRICS_IN_CLIENT_RESPONSE,
    SeldonComponent,
    SeldonNotImplementedError,
    SeldonResponse,
)

from prepackaged.component import Component
from prepackaged.errors import ResultError
from prepackaged.headers import ANSWERED
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.telemetry.custom_metrics import validate
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.signature import Column, declared_signature

# The context in which a model's hooks are called, created for the request that they answer.
Around = Callable[[RequestContext], AbstractContextManager[Any]]

MOST_KEPT = 1024  # column names, in a list that is reused for the next answer of that width


def find_hook(model: Any, name: str) -> Callable[..., Any] | None:
    """The model's own method of that name; None if it only inherits Seldon's placeholder."""
    hook = getattr(model, name, None)
    if not callable(hook):
        return None
    placeholder = getattr(SeldonComponent, name, None)
    return None if getattr(hook, "__func__", None) is placeholder else hook


def has_any_hook(model: Any, *names: str) -> bool:
    """Whether the model implements one of these hooks."""
    return any(find_hook(model, name) for name in names)


class Hooks:
    """The hooks around a model's predict; a hook that the model does not have does nothing."""

    def __init__(self, model: Any, around: Sequence[Around] = ()) -> None:
        self._around = around
        predict = find_hook(model, "predict")
        self._predict = predict
        self._takes_meta = predict is not None and takes_meta(predict)
        self._tags = find_hook(model, "tags")
        self._metrics = find_hook(model, "metrics")
        self._class_names = _class_names_of(model)
        self._output_names = _output_names_of(model)
        #: Whether an answer takes calls of more than predict.
        self.are_beside_predict = any((self._tags, self._metrics, self._class_names))

    def within(
        self, context: RequestContext | None, function: Callable[..., Any], *values: Any
    ) -> Any:
        """Run `function` with this request as context; None stands for a batch."""
        token = ANSWERED.set(context)
        try:
            if context is None or not self._around:
                return function(*values)
            with ExitStack() as stack:
                for around in self._around:
                    stack.enter_context(around(context))
                return function(*values)
        finally:
            ANSWERED.reset(token)

    def predict(
        self,
        value: Any,
        names: list[str],
        meta: dict[str, Any],
        context: RequestContext | None = None,
    ) -> Any:
        """The model's answer as it returns it; an empty list if it has no predict."""
        return self.within(context, self._predicted, value, names, meta)

    def _predicted(self, value: Any, names: list[str], meta: dict[str, Any]) -> Any:
        if self._predict is None:
            return []
        try:
            if self._takes_meta:
                return self._predict(value, names, meta=meta)
            return self._predict(value, names)
        except SeldonNotImplementedError:
            return []

    def finish(self, result: Any, *, is_usual: bool = True) -> Prediction:
        """The answer around a result of predict: names, tags and metrics of this request.

        `is_usual` is whether the request asked for no other method. Raises `BadMetricError`,
        `ResultError`, and the exceptions of hooks.
        """
        if not (self.are_beside_predict or isinstance(result, SeldonResponse)):
            return Prediction(result, self._names(result, is_usual=is_usual), {}, [])
        response = SeldonResponse.create(result)
        tags = {**self._own_tags(), **response.tags}
        own = _call(self._metrics, [])
        for metrics in (own, response.metrics):
            validate(metrics)
        names = self._names(response.data, is_usual=is_usual)
        return Prediction(response.data, names, tags, own + response.metrics)

    def answer(
        self, result: Any, metrics: Metrics, method: str, *, is_usual: bool = True
    ) -> Prediction:
        """Finish a result and count its metrics, which the answer shows if it may."""
        answer = self.finish(result, is_usual=is_usual)
        if not answer.metrics:
            return answer
        metrics.update(answer.metrics, method)
        return Prediction(answer.value, answer.names, answer.tags, shown(answer.metrics))

    def _own_tags(self) -> Mapping[str, Any]:
        tags = _call(self._tags, None) or {}
        if not isinstance(tags, Mapping):
            raise ResultError(f"{type(tags).__name__}; expected a dict", "tags")
        return tags

    def _names(self, value: Any, *, is_usual: bool) -> list[str]:
        shape = _shape_of(value)
        if len(shape) < 2:
            return []
        names = _call(self._class_names, None)
        if names is not None:
            if isinstance(names, str | bytes) or not isinstance(names, Iterable):
                raise ResultError(f"{type(names).__name__}; expected a list", "class_names")
            return list(names)
        known = self._output_names if is_usual else []
        if len(known) == shape[1]:
            return known
        return numbered(shape[1]) if shape[1] <= MOST_KEPT else numbered.__wrapped__(shape[1])


@lru_cache(256)
def numbered(columns: int) -> list[str]:
    """The names of columns without names; one list for all answers, which must not change."""
    return [f"t:{number}" for number in range(columns)]


def shown(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The metrics in the answer: all, or none if the environment says so."""
    return metrics if INCLUDE_METRICS_IN_CLIENT_RESPONSE else []


def _shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array, or of lists that form one; otherwise None."""
    if isinstance(value, np.ndarray):
        return tuple(value.shape)
    try:
        return np.shape(value) if isinstance(value, list) else ()
    except ValueError:  # rows of unequal length, such as the boxes found in images
        return ()


def _call(hook: Callable[[], Any] | None, default: Any) -> Any:
    if hook is None:
        return default
    try:
        return hook()
    except SeldonNotImplementedError:
        return default


def _class_names_of(model: Any) -> Callable[[], Any] | None:
    attribute = getattr(model, "class_names", None)
    if attribute is None or callable(attribute):
        return find_hook(model, "class_names")
    return lambda: attribute  # the older way, a plain attribute


def _output_names_of(model: Any) -> list[str]:
    """The names of the columns that the model's signature says it answers with."""
    signature = declared_signature(model)
    if signature is None or not model.names_outputs:
        return []
    columns = [each for each in signature.outputs or () if isinstance(each, Column)]
    return [each.name for each in columns if each.name is not None]


def prepare_hook(model: Any) -> Callable[..., Any] | None:
    """The model's own `prepare`; None if requests reach its `predict` unchanged."""
    prepare = getattr(model, "prepare", None)
    is_own = isinstance(model, Component) and type(model).prepare is not Component.prepare
    return prepare if is_own else None


def takes_meta(hook: Callable[..., Any]) -> bool:
    """Whether a hook may be called with `meta`, which the oldest guides leave out."""
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(each.name == "meta" or each.kind is each.VAR_KEYWORD for each in parameters)
