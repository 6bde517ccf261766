"""Newer dependencies do not change seldon-core's answers.

The same Model is served by seldon-core as in our images and by seldon-core 1.17.1 with the
releases that it pins, and generated requests must get the same answers from both.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from seldon_messages import messages
from serving import PROGRAMS, ROOT, UPSTREAM, Server, serve

MODELS = Path(__file__).parent / "models"
ROUTES = ["/predict", "/api/v1.0/predictions", "/transform-input", "/transform-output", "/route"]

Pair = tuple[Server, Server]
several = settings(
    max_examples=60,
    derandomize=True,  # CI sees what a developer sees
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def servers(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """The Model `Mirror` behind seldon-core with today's dependencies, and as published."""
    if request.config.getoption("--url"):
        pytest.skip("compares two servers that it starts, not the one at --url")
    published = ROOT / ".envs/upstream/bin" / UPSTREAM
    ours = PROGRAMS / UPSTREAM
    with serve(MODELS, "Mirror", ours) as today, serve(MODELS, "Mirror", published) as then:
        yield today, then


def is_finite(value: Any) -> bool:
    """Return whether a JSON value contains neither NaN nor infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or all(map(is_finite, value))


def assert_same(today: requests.Response, then: requests.Response) -> None:
    """Check equal status and body; the text of errors may differ, as it comes from dependencies."""
    assert today.status_code == then.status_code, (today.text, then.text)
    if today.status_code == 200:
        assert today.text == then.text
    else:
        assert today.json()["status"]["reason"] == then.json()["status"]["reason"]


@pytest.mark.parametrize("route", ROUTES)
@several
@given(message=messages)
def test_rest_answers_as_it_did(servers: Pair, route: str, message: Any) -> None:
    """Every route and kind of payload gets the same answer, including NaN and infinity."""
    today, then = (server.post_text(json.dumps(message), route) for server in servers)

    assert_same(today, then)


@several
@given(batch=st.lists(messages, max_size=3))
def test_rest_aggregates_as_it_did(servers: Pair, batch: list[Any]) -> None:
    """A list of messages is aggregated alike."""
    today, then = (server.post_text(json.dumps(batch), "/aggregate") for server in servers)

    assert_same(today, then)


@several
@given(message=messages, reward=st.floats(0, 1, width=32))
def test_rest_takes_feedback_as_it_did(servers: Pair, message: Any, reward: float) -> None:
    """Feedback gets the same answer, although protobuf's JSON parser has changed."""
    assume(is_finite(message))  # see the last test
    feedback = {"request": message, "reward": reward}

    today, then = (server.post_text(json.dumps(feedback), "/send-feedback") for server in servers)

    assert_same(today, then)


@pytest.mark.parametrize("how", ["query", "form", "multipart"])
@several
@given(message=messages)
def test_other_forms_of_a_request_are_read_as_they_were(
    servers: Pair, how: str, message: Any
) -> None:
    """Messages in `json` of a query or form, or in multipart, are read alike."""

    def call(server: Server) -> requests.Response:
        url, text = server.url + "/predict", json.dumps(message)
        if how == "query":
            return requests.get(url, params={"json": text}, timeout=60)
        if how == "form":
            return requests.post(url, data={"json": text}, timeout=60)
        parts = {key: (None, json.dumps(value)) for key, value in message.items()}
        return requests.post(url, files=parts, timeout=60)

    today, then = map(call, servers)
    assert_same(today, then)


def outcome(server: Server, request: Any) -> Any:
    """The answer to Predict over gRPC, or the status code of its error."""
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            return prediction_pb2_grpc.ModelStub(channel).Predict(request, timeout=60)
        except grpc.RpcError as error:
            return error.code()


@several
@given(message=messages)
def test_grpc_answers_as_it_did(servers: Pair, message: Any) -> None:
    """Messages over gRPC get the same answer, except for NaN and infinity (see the last test)."""
    assume(is_finite(message))
    try:
        request = ParseDict(message, prediction_pb2.SeldonMessage())
    except ValueError:
        return  # not a valid SeldonMessage
    today, then = (outcome(server, request) for server in servers)

    assert repr(today) == repr(then)  # compared as text, since NaN is not equal to itself


@pytest.mark.parametrize(("number", "text"), [(math.nan, "NaN"), (math.inf, "Infinity")])
def test_protobuf_refuses_what_it_made_text_of(servers: Pair, number: float, text: str) -> None:
    """NaN and infinity in an ndarray over gRPC are an error now, and were converted to text before.

    This affects feedback over REST too; tensors may have them.
    """
    request = prediction_pb2.SeldonMessage()
    request.data.ndarray.add_list().values.add().number_value = number

    today, then = (outcome(server, request) for server in servers)

    assert today == grpc.StatusCode.UNKNOWN
    assert then.data.ndarray.values[0].list_value.values[0].string_value == text
