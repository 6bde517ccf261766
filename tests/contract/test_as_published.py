"""Today's dependencies change nothing on the wire.

The same Model is served by seldon-core as our images have it and by seldon-core 1.17.1 with
the releases that it pins itself, and generated requests get the same answers from both.
"""

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import ROOT, Server, serve

MODELS = Path(__file__).parent / "models"
ROUTES = ["/predict", "/api/v1.0/predictions", "/transform-input", "/transform-output", "/route"]

Pair = tuple[Server, Server]
several = settings(
    max_examples=60,
    derandomize=True,  # what CI sees is what a developer sees
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def servers(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """The Model `Mirror` behind seldon-core with today's dependencies, and as published."""
    if request.config.getoption("--url"):
        pytest.skip("compares two servers that it starts, not the one at --url")
    published = ROOT / ".envs/upstream/bin"
    with serve(MODELS, "Mirror") as today, serve(MODELS, "Mirror", published) as then:
        yield today, then


numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(), st.booleans())
cells = st.one_of(numbers, st.text(max_size=5), st.none())
anything = st.recursive(
    st.one_of(st.none(), numbers, st.text(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.lists(st.text(max_size=4), max_size=3)


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[Any] = cells) -> list[list[Any]]:
    """Rows of equal length."""
    width = draw(st.integers(1, 3))
    return draw(st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=3))


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Any]:
    """A shape and as many values, now and then one value short."""
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    size = int(np.prod(shape)) - draw(st.sampled_from([0, 0, 0, 1]))
    values = draw(st.lists(st.floats(), min_size=max(size, 0), max_size=max(size, 0)))
    return {"shape": shape, "values": values}


def data_of(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A message's `data`, with names or without."""
    return st.fixed_dictionaries({kind: values}, optional={"names": names}).map(
        lambda data: {"data": data}
    )


def field(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A message of another kind."""
    return st.fixed_dictionaries({kind: values})


payloads = st.one_of(
    data_of("ndarray", tables()),
    data_of("ndarray", tables(numbers)),
    data_of("tensor", tensors()),
    field("jsonData", anything),
    field("strData", st.text(max_size=10)),
    field("binData", st.binary(max_size=10).map(lambda raw: base64.b64encode(raw).decode())),
)
metas = st.fixed_dictionaries(
    {},
    optional={
        "puid": st.text(max_size=5),
        "tags": st.dictionaries(st.text(max_size=3), anything, max_size=2),
        "routing": st.dictionaries(st.text(max_size=3), st.integers(-1, 3), max_size=2),
        "requestPath": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    },
)
messages = st.builds(lambda payload, meta: {**payload, "meta": meta}, payloads, metas)


def is_finite(value: Any) -> bool:
    """Whether there is neither NaN nor infinity anywhere in a JSON value."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or all(map(is_finite, value))


def assert_same(today: requests.Response, then: requests.Response) -> None:
    """Status and body are equal to the byte; an error's text may be numpy's or protobuf's own."""
    assert today.status_code == then.status_code, (today.text, then.text)
    if today.status_code == 200:
        assert today.text == then.text
    else:
        assert today.json()["status"]["reason"] == then.json()["status"]["reason"]


@pytest.mark.parametrize("route", ROUTES)
@several
@given(message=messages)
def test_rest_answers_as_it_did(servers: Pair, route: str, message: Any) -> None:
    """Every route and every kind of payload, NaN and infinity included."""
    today, then = (server.post_text(json.dumps(message), route) for server in servers)

    assert_same(today, then)


@several
@given(batch=st.lists(messages, max_size=3))
def test_rest_aggregates_as_it_did(servers: Pair, batch: list[Any]) -> None:
    """A combiner gets a list of messages."""
    today, then = (server.post_text(json.dumps(batch), "/aggregate") for server in servers)

    assert_same(today, then)


@several
@given(message=messages, reward=st.floats(0, 1, width=32))
def test_rest_takes_feedback_as_it_did(servers: Pair, message: Any, reward: float) -> None:
    """Feedback goes through protobuf, whose JSON reader must not have changed otherwise."""
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
    """`json` in the query or in a form field, and a part for every field."""

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
    """The answer to Predict over gRPC, or its error's status."""
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            return prediction_pb2_grpc.ModelStub(channel).Predict(request, timeout=60)
        except grpc.RpcError as error:
            return error.code()


@several
@given(message=messages)
def test_grpc_answers_as_it_did(servers: Pair, message: Any) -> None:
    """The same messages, as protobuf, but for what the last test is about."""
    assume(is_finite(message))
    try:
        request = ParseDict(message, prediction_pb2.SeldonMessage())
    except ValueError:
        return  # JSON that no SeldonMessage can be made of
    today, then = (outcome(server, request) for server in servers)

    assert repr(today) == repr(then)  # as text, where NaN equals NaN


@pytest.mark.parametrize(("number", "text"), [(math.nan, "NaN"), (math.inf, "Infinity")])
def test_protobuf_refuses_what_it_made_text_of(servers: Pair, number: float, text: str) -> None:
    """NaN and infinity in a protobuf ndarray, which feedback over REST becomes as well.

    README.md lists it among the known limits; a tensor takes them.
    """
    request = prediction_pb2.SeldonMessage()
    request.data.ndarray.add_list().values.add().number_value = number

    today, then = (outcome(server, request) for server in servers)

    assert today == grpc.StatusCode.UNKNOWN
    assert then.data.ndarray.values[0].list_value.values[0].string_value == text
