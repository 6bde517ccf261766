"""Try a loaded model with one request: its answer and time, and whether requests can be batched."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from prepackaged import example_inputs
from prepackaged.examples import example_message, message_of
from prepackaged.input_examples import mlflow_example
from prepackaged.server.inference.batching import batch_key, part
from prepackaged.server.inference.comparing import same, stack, strangers
from prepackaged.server.inference.hooks import Hooks, prepare_hook
from prepackaged.server.inference.requests import row_count
from prepackaged.server.protocols.seldon.json_codec import Request, decode, encode
from prepackaged.server.runtime.samples import SELDON, Sample
from prepackaged.signature import Signature

SIZES = (1, 32, 256)  # rows
TIMES = 5  # the number of calls, of which the fastest counts
MOST_SECONDS = 2.0  # the time limit for the calls with one number of rows
MOST_CHARACTERS = 2**26  # the longest request for these calls
MOST_VALUES = 2**22  # the most made-up values, enough for an image of 2,000 x 2,000 pixels
LONGEST = 20_000  # the most characters of a request or an answer that is shown as a whole
SHOWN = 200  # the characters that are shown of a longer one
MADE_UP = "; its values are made up: put a request that the model accepts into samples/"


class Trial:
    """Calls the model with one request, in the same way as the server.

    The request is the first of `samples` for Seldon's protocol, else MLflow's example. If there is
    none of these, requests are made up from the signature.
    """

    def __init__(
        self, model: Any, signature: Signature | None, samples: Sequence[Sample] = ()
    ) -> None:
        self._model = model
        self._hooks = Hooks(model)
        self._prepare = prepare_hook(model)
        self._known = known_request(model, samples)
        self._signature = signature

    def report(self) -> dict[str, Any]:
        """A request that succeeds, its answer, and facts about the calls; or the first error."""
        report, advice = None, "" if self._known else MADE_UP
        for message in [self._known] if self._known else made_up(self._signature):
            try:
                return self._report(message)
            except Exception as error:
                why = f"{type(error).__name__}: {error}{advice}"
                report = report or {"request": shown(message), "error": why}
        return report or {"request": "none: the model does not describe its inputs"}

    def _report(self, message: dict[str, Any]) -> dict[str, Any]:
        request = self._decoded(message)
        answer = self._hooks.finish(self._call(request))
        return {
            "request": shown(message),
            "answer": shown(json.loads(encode(answer, request))),
            "milliseconds by rows": self._times(message),
            "batches": self._batches(message),
        }

    def _decoded(self, message: dict[str, Any]) -> Request:
        request = decode(message, as_lists=bool(getattr(self._model, "takes_lists", False)))
        if self._prepare:
            request.prepare(self._prepare)
        return request

    def _call(self, request: Request) -> Any:
        return self._hooks.predict(request.value, request.names, request.meta)

    def _times(self, message: dict[str, Any]) -> dict[str, float]:
        """The milliseconds by number of rows, for the SIZES that the model accepts.

        The times include the decoding and the preparation of a request.
        """
        times = {}
        characters = len(json.dumps(message))
        for rows in SIZES:
            if rows > 1 and rows * characters > MOST_CHARACTERS:
                break
            try:
                times[str(rows)] = round(self._quickest(repeated(message, rows)) * 1000, 3)
            except Exception:  # a request without rows, or a model that accepts only one row
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

    def _batches(self, message: dict[str, Any]) -> str:
        """Whether two requests can share a call, with the reason."""
        if not getattr(self._model, "batchable", False):
            return "no: the model does not say that its rows are independent"
        requests = [self._decoded(message) for _ in range(2)]
        if batch_key(requests[0]) is None:
            return "no: these requests cannot be stacked"
        value, alone = requests[0].value, self._call(requests[0])
        beside = [self._beside(value, requests[1].value)]
        for other in strangers(value):
            with suppress(Exception):  # the model may not accept such rows
                beside.append(self._beside(value, other))
        if all(same(alone, each) for each in beside):
            return "yes: two requests in one call get the answers that each gets alone"
        return "no: two requests in one call get different answers than each alone"

    def _beside(self, value: Any, other: Any) -> Any:
        """The answer to a request that shares a call with another one."""
        together = self._hooks.predict(stack([value, other]), [], {})
        is_by_row = isinstance(together, np.ndarray | dict)
        return part(together, 0, row_count(value) or 0) if is_by_row else together


def known_request(model: Any, samples: Sequence[Sample]) -> dict[str, Any] | None:
    """A Seldon message that the model accepts according to its author; None if there is none."""
    for sample in samples:
        if sample.path == SELDON and sample.status == 200 and isinstance(sample.body, dict):
            return sample.body
    artifact = getattr(model, "artifact", None)
    row = mlflow_example(artifact) if artifact else None
    return None if row is None else {"jsonData": row}


def made_up(signature: Signature | None) -> Iterator[dict[str, Any]]:
    """Yield Seldon messages for the signature: the one that was tried, else made-up ones."""
    tensors = signature.input_tensors if signature and not signature.example else ()
    if not tensors:
        message = example_message(signature, MOST_VALUES)
        yield from [message] if message else []
    for arrays in example_inputs.made_up(tensors):
        if message := message_of(arrays):
            yield message


def shown(value: Any) -> Any:
    """A JSON value, or the first characters of its text if it is long."""
    text = json.dumps(value)
    return value if len(text) <= LONGEST else f"{text[:SHOWN]}... ({len(text)} characters)"


def repeated(message: dict[str, Any], rows: int) -> dict[str, Any]:
    """The message with its first row repeated. Raises `ValueError` if it has no rows."""
    if "data" in message:
        data = message["data"]
        return {"data": {**data, "ndarray": _repeated(data.get("ndarray"), rows)}}
    payload = message.get("jsonData")
    if isinstance(payload, dict):
        return {"jsonData": {name: _repeated(each, rows) for name, each in payload.items()}}
    return {"jsonData": _repeated(payload, rows)}


def _repeated(values: Any, rows: int) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError("rows of another form")
    return values[:1] * rows
