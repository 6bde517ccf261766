"""The differences from upstream's server that docs/differences.md lists, as rules.

A rule maps a request and upstream's answer to the answer that our server must give. Without a
rule that changes it, our answer must equal upstream's.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import requests
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from seldon_core.proto import prediction_pb2_grpc
from serving import ROOT, Server

Pair = tuple[Server, Server]  # upstream's server as published, and ours
ROW = re.compile(r"^\| `([a-z0-9-]+)` \|", re.MULTILINE)
REPEATING = {"predict", "transform_output", "aggregate"}  # here Mirror returns its input


@dataclass(frozen=True)
class Asked:
    """A request: method, messages, and whether it goes over gRPC."""

    method: str
    messages: list[Any]
    is_grpc: bool = False

    def last(self) -> Any:
        """The last message; only aggregate has several."""
        return self.messages[-1] if self.messages else {}

    def refused(self) -> "Told":
        """The answer to a client's mistake."""
        if self.is_grpc:
            return Told("INVALID_ARGUMENT")
        return Told(400, "MICROSERVICE_BAD_DATA")


@dataclass(frozen=True)
class Told:
    """An answer: HTTP status or gRPC code, and the body, or an error's reason if it has one."""

    status: int | str
    body: Any = None


def told(response: requests.Response) -> Told:
    """Convert an answer over REST."""
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    return Told(response.status_code, body if response.ok else body["status"]["reason"])


def said(server: Server, call: str, request: Message) -> Told:
    """Call `Service.Method` over gRPC and convert its answer."""
    service, _, method = call.partition(".")
    with grpc.insecure_channel(server.grpc) as channel:
        stub = getattr(prediction_pb2_grpc, service + "Stub")(channel)
        try:
            return Told("OK", MessageToDict(getattr(stub, method)(request, timeout=60)))
        except grpc.RpcError as error:
            return Told(error.code().name)


def assert_as_foretold(asked: Asked, theirs: Told, ours: Told) -> None:
    """Check that our answer is what the rules predict, to the last digit; 1 and 1.0 differ."""
    foretold = expected(asked, theirs)
    assert ours.status == foretold.status, (theirs, ours)
    assert text_of(ours.body, asked) == text_of(foretold.body, asked)


def text_of(body: Any, asked: Asked) -> str:
    """An answer as text, so that NaN equals NaN; over gRPC every number is a double."""
    text = json.dumps(body, sort_keys=True)
    return json.dumps(json.loads(text, parse_int=float)) if asked.is_grpc else text


def ids() -> list[str]:
    """The differences' names in docs/differences.md, in order."""
    return ROW.findall((ROOT / "docs/differences.md").read_text())


def expected(asked: Asked, told: Told) -> Told:
    """The expected answer of our server, given upstream's."""
    for rule in RULES.values():
        told = rule(asked, told)
    return told


def grpc_status(asked: Asked, told: Told) -> Told:
    """The model's errors have INTERNAL instead of UNKNOWN."""
    return Told("INTERNAL") if told.status == "UNKNOWN" else told


def empty_aggregate(asked: Asked, told: Told) -> Told:
    """An empty list to aggregate is the client's mistake."""
    return told if asked.messages else asked.refused()


def wrong_shape(asked: Asked, told: Told) -> Told:
    """A tensor whose number of values does not match its shape is refused."""
    tensors = [each.get("data", {}).get("tensor") for each in asked.messages]
    fits = (math.prod(tensor["shape"]) == len(tensor["values"]) for tensor in tensors if tensor)
    return told if all(fits) else asked.refused()


def no_answer(asked: Asked, told: Told) -> Told:
    """A number, a boolean or null as a result is the model's mistake, not the client's."""
    if asked.method not in REPEATING or told.status != 400:
        return told
    is_returned = isinstance(asked.last().get("jsonData", ""), float | int | None)
    return Told(500, "MICROSERVICE_INTERNAL_ERROR") if is_returned else told


def mixed_row(asked: Asked, told: Told) -> Told:
    """Values beside a text in a row keep their types."""
    if asked.method not in REPEATING or "ndarray" not in _data(told):
        return told
    last = asked.last()
    sent = last["data"].get("ndarray") if "data" in last else last["jsonData"]
    if str not in set(map(type, _flat(sent))):
        return told
    return replace(told, body=told.body | {"data": _data(told) | {"ndarray": sent}})


def nan(asked: Asked, told: Told) -> Told:
    """NaN and infinity become null, since JSON cannot hold them."""
    return told if asked.is_grpc else replace(told, body=_finite(told.body))


RULES: dict[str, Callable[[Asked, Told], Told]] = {
    "grpc-status": grpc_status,
    "no-answer": no_answer,  # before the rules for requests that never reach the model
    "empty-aggregate": empty_aggregate,
    "wrong-shape": wrong_shape,
    "mixed-row": mixed_row,
    "nan": nan,
}


def _data(told: Told) -> dict[str, Any]:
    data = told.body.get("data", {}) if isinstance(told.body, dict) else {}
    return dict(data)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return value
