"""With PAYLOAD_PASSTHROUGH, predictions over REST reach the model undecoded."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from differences import Pair, said
from seldon_core.proto import prediction_pb2
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, serve

MODELS = Path(__file__).parent / "models"
PUBLISHED = ROOT / ".envs/upstream/bin" / UPSTREAM
ASKED: dict[str, dict[str, Any]] = {
    "JSON": {"json": {"strData": "x"}},
    "half of JSON": {"data": b'{"strData', "headers": {"Content-Type": "application/json"}},
    "bytes": {"data": b"\x00\xff", "headers": {"Content-Type": "image/png"}},
    "nothing": {},
    "a query": {"params": {"json": '{"a": 1}'}},
    "a form": {"data": {"json": "not even JSON"}},
    "parts": {"files": {"strData": ("s", "x")}},
    "an error": {"data": b"fail"},
}


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Upstream's server as published, and ours, both with PAYLOAD_PASSTHROUGH."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("PAYLOAD_PASSTHROUGH", "true")
        programs = (PUBLISHED, PROGRAMS / OURS)
        theirs, ours = (stack.enter_context(serve(MODELS, "Passed", each)) for each in programs)
        yield theirs, ours


@pytest.mark.parametrize("path", ["/predict", "/api/v1.0/predictions"])
@pytest.mark.parametrize("what", ASKED)
def test_payloads_and_answers_pass_as_they_are(pair: Pair, path: str, what: str) -> None:
    """Any body passes unchanged, and both servers give the same bytes, status and content type."""
    theirs, ours = (requests.post(server.url + path, timeout=60, **ASKED[what]) for server in pair)

    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]


def test_other_methods_are_decoded_as_ever(pair: Pair) -> None:
    """Other methods decode their messages, since the setting is only for predictions."""
    theirs, ours = (server.post({"strData": "x"}, "/transform-input").json() for server in pair)

    assert ours == theirs


def test_calls_over_grpc_are_messages_as_ever(pair: Pair) -> None:
    """Calls over gRPC pass messages, since the setting is only for REST."""
    request = prediction_pb2.SeldonMessage(strData="x")

    theirs, ours = (said(server, "Model.Predict", request) for server in pair)

    assert ours == theirs


def test_an_object_is_answered_as_json_by_ours_alone(pair: Pair) -> None:
    """Ours answers an object as JSON: the difference `passthrough-object`."""
    theirs, ours = (
        requests.post(server.url + "/predict", data=b"object", timeout=60).content
        for server in pair
    )

    assert (theirs, ours) == (b"strData", b'{"strData":"x"}\n')
