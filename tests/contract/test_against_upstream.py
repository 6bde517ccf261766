"""Our server answers as upstream's does, except where docs/differences.md says otherwise.

The same Model is served by seldon-core 1.17.1 as published and by ours; generated requests go
to both. A difference is accepted only if a rule in tests/differences.py predicts it.
"""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests
from differences import Asked, Pair, assert_as_foretold, said, told
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seldon_core.proto import prediction_pb2
from seldon_messages import messages
from serving import Server

METHODS = {
    "/predict": "predict",
    "/api/v0.1/predictions": "predict",
    "/api/v1.0/predictions": "predict",
    "/transform-input": "transform_input",
    "/transform-output": "transform_output",
    "/route": "route",
}
CALLS = {
    "Model.Predict": "predict",
    "Seldon.Predict": "predict",
    "Generic.TransformInput": "transform_input",
    "Transformer.TransformInput": "transform_input",
    "Generic.TransformOutput": "transform_output",
    "OutputTransformer.TransformOutput": "transform_output",
    "Generic.Route": "route",
    "Router.Route": "route",
}
FEEDBACK_CALLS = ["Generic", "Model", "Router", "Seldon"]

several = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def mirrors(pairs: Callable[[str], Pair]) -> Pair:
    """The Model `Mirror` behind upstream's server and ours."""
    return pairs("Mirror")


@pytest.mark.parametrize("path", METHODS)
@several
@given(message=messages)
def test_rest_answers_as_upstream_does(mirrors: Pair, path: str, message: Any) -> None:
    """Every method and kind of payload gets upstream's answer, including NaN and infinity."""
    theirs, ours = (told(server.post_text(json.dumps(message), path)) for server in mirrors)

    assert_as_foretold(Asked(METHODS[path], [message]), theirs, ours)


@pytest.mark.parametrize("form", ["list", "object"])
@several
@given(batch=st.lists(messages, max_size=3))
def test_rest_aggregates_as_upstream_does(mirrors: Pair, form: str, batch: list[Any]) -> None:
    """A list of messages, or an object with one, is aggregated as by upstream."""
    text = json.dumps(batch if form == "list" else {"seldonMessages": batch})

    theirs, ours = (told(server.post_text(text, "/aggregate")) for server in mirrors)

    assert_as_foretold(Asked("aggregate", batch), theirs, ours)


@pytest.mark.parametrize("path", ["/send-feedback", "/api/v0.1/feedback", "/api/v1.0/feedback"])
@several
@given(message=messages, truth=messages, reward=st.floats(0, 1, width=32))
def test_rest_takes_feedback_as_upstream_does(
    mirrors: Pair, path: str, message: Any, truth: Any, reward: float
) -> None:
    """Feedback, which both servers convert to protobuf, gets upstream's answer."""
    feedback = json.dumps({"request": message, "truth": truth, "reward": reward})

    theirs, ours = (told(server.post_text(feedback, path)) for server in mirrors)

    assert_as_foretold(Asked("send_feedback", [message, truth]), theirs, ours)


@pytest.mark.parametrize("way", ["query", "form", "multipart"])
@several
@given(message=messages)
def test_other_forms_of_a_request_are_read_as_upstream_reads_them(
    mirrors: Pair, way: str, message: Any
) -> None:
    """Messages in `json` of a query or form, or in multipart, are read as by upstream."""

    def call(server: Server) -> requests.Response:
        url, text = server.url + "/predict", json.dumps(message)
        if way == "query":
            return requests.get(url, params={"json": text}, timeout=60)
        if way == "form":
            return requests.post(url, data={"json": text}, timeout=60)
        parts = {key: (None, json.dumps(value)) for key, value in message.items()}
        return requests.post(url, files=parts, timeout=60)

    theirs, ours = (told(call(server)) for server in mirrors)

    assert_as_foretold(Asked("predict", [message]), theirs, ours)


def finite(value: Any, *, in_tensors: bool = False) -> Any:
    """Replace NaN and infinity outside tensors; in tensors, write them as protobuf's JSON does.

    With `in_tensors` they are replaced there, too: an ndarray made of such a tensor has no JSON.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return 0.5
    if isinstance(value, list):
        return [finite(each, in_tensors=in_tensors) for each in value]
    if isinstance(value, dict):
        return {
            key: list(map(json.dumps, finite(each) if in_tensors else each))
            if key == "values" and "shape" in value
            else finite(each, in_tensors=in_tensors)
            for key, each in value.items()
        }
    return value


@pytest.mark.parametrize("call", CALLS)
@several
@given(message=messages.map(finite))
def test_grpc_answers_as_upstream_does(mirrors: Pair, call: str, message: Any) -> None:
    """Messages over gRPC get upstream's answer."""
    request = ParseDict(message, prediction_pb2.SeldonMessage())

    theirs, ours = (said(server, call, request) for server in mirrors)

    assert_as_foretold(Asked(CALLS[call], [message], is_grpc=True), theirs, ours)


@pytest.mark.parametrize("call", ["Generic.Aggregate", "Combiner.Aggregate"])
@several
@given(batch=st.lists(messages.map(partial(finite, in_tensors=True)), max_size=3))
def test_grpc_aggregates_as_upstream_does(mirrors: Pair, call: str, batch: list[Any]) -> None:
    """Messages to aggregate over gRPC get upstream's answer."""
    request = ParseDict({"seldonMessages": batch}, prediction_pb2.SeldonMessageList())

    theirs, ours = (said(server, call, request) for server in mirrors)

    assert_as_foretold(Asked("aggregate", batch, is_grpc=True), theirs, ours)


@pytest.mark.parametrize("service", FEEDBACK_CALLS)
@several
@given(message=messages.map(finite), truth=messages.map(finite), reward=st.floats(0, 1, width=32))
def test_grpc_takes_feedback_as_upstream_does(
    mirrors: Pair, service: str, message: Any, truth: Any, reward: float
) -> None:
    """Feedback over gRPC gets upstream's answer."""
    feedback = {"request": message, "truth": truth, "reward": reward}
    request = ParseDict(feedback, prediction_pb2.Feedback())

    theirs, ours = (said(server, f"{service}.SendFeedback", request) for server in mirrors)

    assert_as_foretold(Asked("send_feedback", [message, truth], is_grpc=True), theirs, ours)
