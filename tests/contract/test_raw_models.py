"""More tests of models that read and write whole messages (see test_models_against_upstream)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from differences import Pair, said, told
from google.protobuf.json_format import ParseDict
from seldon_core.proto import prediction_pb2
from serving import Server

MESSAGE: dict[str, Any] = {"data": {"ndarray": [[1]]}, "meta": {"puid": "p"}}


@pytest.mark.parametrize(("model", "kinds"), [("RawRest", ("rest", "values")), ("RawGrpc", None)])
def test_one_transports_raw_hook_is_nothing_to_the_other(
    pairs: Callable[[str], Pair], model: str, kinds: Any
) -> None:
    """A hook for one transport (predict_rest, predict_grpc) is not called by the other one."""
    request = ParseDict(MESSAGE, prediction_pb2.SeldonMessage())

    def both(server: Server) -> Any:
        return told(server.post(MESSAGE)), said(server, "Model.Predict", request)

    theirs, ours = map(both, pairs(model))

    assert ours == theirs
    assert tuple(each.body["strData"] for each in ours) == (kinds or ("values", "grpc"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"),
        ("POST", "/transform-input"),
        ("GET", "/health/status"),
        ("GET", "/metadata"),
    ],
)
def test_half_a_surrogate_is_escaped_in_json(
    pairs: Callable[[str], Pair], method: str, path: str
) -> None:
    """Half a surrogate pair, which UTF-8 cannot encode, is escaped in every answer."""
    body = {"json": {"strData": "\ud800"}} if method == "POST" else {}

    theirs, ours = (
        requests.request(method, server.url + path, timeout=60, **body)
        for server in pairs("Surrogates")
    )

    assert (ours.status_code, json.loads(ours.content)) == (200, json.loads(theirs.content))
    assert b"\\ud800" in ours.content


@pytest.mark.parametrize("code", [200, 201, 202, 204, 304, 400, 404, 418, 500, 503, 599, "404"])
def test_a_raw_answer_has_the_status_that_it_says(
    pairs: Callable[[str], Pair], code: int | str
) -> None:
    """A raw answer sets the HTTP status, and has a body only if that status allows one."""
    theirs, ours = (server.post({"status": {"code": code}}) for server in pairs("Raw"))

    assert (ours.status_code, ours.text) == (theirs.status_code, theirs.text)
    assert ours.headers.get("Content-Length") == theirs.headers.get("Content-Length")


def test_a_connection_goes_on_after_an_answer_without_body(pairs: Callable[[str], Pair]) -> None:
    """After an answer without a body, the connection can be used for the next request."""
    _, ours = pairs("Raw")
    with requests.Session() as session:
        for code in (204, 205, 304, 200):
            answer = session.post(
                ours.url + "/predict", json={"status": {"code": code}}, timeout=60
            )
            assert answer.status_code == code
            assert (answer.text != "") == (code == 200)
