"""Try a loaded model with its example: answer, time, and whether requests may share a call."""

import json
import time
from contextlib import suppress
from typing import Any

import numpy as np

from prepackaged.examples import example_request
from prepackaged.input_examples import mlflow_example
from prepackaged.server.inference.batching import batch_key, part
from prepackaged.server.inference.comparing import same, stack, strangers
from prepackaged.server.inference.hooks import Hooks, prepare_hook
from prepackaged.server.inference.requests import row_count
from prepackaged.server.protocols.seldon.json_codec import Request, decode, encode
from prepackaged.signature import Signature

SIZES = (1, 32, 256)  # rows
TIMES = 5  # calls, of which the quickest counts
MOST_SECONDS = 2.0  # for the calls of one size


class Trial:
    """Calls to the model with one example, as the server makes them."""

    def __init__(self, model: Any, signature: Signature | None) -> None:
        self._model = model
        self._hooks = Hooks(model)
        self._prepare = prepare_hook(model)
        self._message = example_of(model, signature)

    def report(self) -> dict[str, Any]:
        """A request that works, its answer, and facts about the calls."""
        if self._message is None:
            return {"request": "none: the model does not say what it takes"}
        try:
            return self._report(self._message)
        except Exception as error:
            return {"request": self._message, "error": f"{type(error).__name__}: {error}"}

    def _report(self, message: dict[str, Any]) -> dict[str, Any]:
        request = self._decoded(message)
        answer = self._hooks.finish(self._call(request))
        return {
            "request": message,
            "answer": json.loads(encode(answer, request)),
            "milliseconds by rows": self._times(),
            "batches": self._batches(),
        }

    def _decoded(self, message: dict[str, Any]) -> Request:
        request = decode(message, as_lists=bool(getattr(self._model, "takes_lists", False)))
        if self._prepare:
            request.prepare(self._prepare)
        return request

    def _call(self, request: Request) -> Any:
        return self._hooks.predict(request.value, request.names, request.meta)

    def _times(self) -> dict[str, float]:
        """Times for the sizes that the model accepts, with the preparation of a request."""
        times = {}
        for rows in SIZES:
            try:
                message = repeated(self._message, rows)
                times[str(rows)] = round(self._quickest(message) * 1000, 3)
            except Exception:  # no rows, or a model that takes one row alone
                break
        return times

    def _quickest(self, message: dict[str, Any]) -> float:
        least, until = float("inf"), time.perf_counter() + MOST_SECONDS
        for _ in range(TIMES):
            start = time.perf_counter()
            self._call(self._decoded(message))
            least = min(least, time.perf_counter() - start)
            if time.perf_counter() > until:
                break
        return least

    def _batches(self) -> str:
        """Whether two requests may share a call."""
        if not getattr(self._model, "batchable", False):
            return "no: the model does not say that its rows are independent"
        requests = [self._decoded(self._message or {}) for _ in range(2)]
        if batch_key(requests[0]) is None:
            return "no: these requests cannot be stacked"
        value, alone = requests[0].value, self._call(requests[0])
        beside = [self._beside(value, requests[1].value)]
        for other in strangers(value):
            with suppress(Exception):  # the model does not take such rows
                beside.append(self._beside(value, other))
        if all(same(alone, each) for each in beside):
            return "yes: two requests in one call get the answers that each gets alone"
        return "no: two requests in one call get other answers than each alone"

    def _beside(self, value: Any, other: Any) -> Any:
        """The answer to a request in a call with another one."""
        together = self._hooks.predict(stack([value, other]), [], {})
        is_by_row = isinstance(together, np.ndarray | dict)
        return part(together, 0, row_count(value) or 0) if is_by_row else together


def example_of(model: Any, signature: Signature | None) -> dict[str, Any] | None:
    """A Seldon message made from MLflow's example, else from the signature."""
    artifact = getattr(model, "artifact", None)
    row = mlflow_example(artifact) if artifact else None
    if row is not None:
        return {"jsonData": row}
    text = example_request(signature)
    return json.loads(text) if text else None


def repeated(message: Any, rows: int) -> dict[str, Any]:
    """The message with its row repeated. Raises `ValueError` if it has no rows."""
    data = message.get("data") or message
    key = "ndarray" if "data" in message else "jsonData"
    if not isinstance(data.get(key), list) or (rows > 1 and len(data[key]) != 1):
        raise ValueError("rows of another form")
    many = {**data, key: data[key] * rows}
    return {"data": many} if "data" in message else many
