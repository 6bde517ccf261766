"""Models that use Flask, as upstream's server allows, behave alike under ours."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
import requests
from differences import Pair
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import Server

HEADERS = {"X-Caller": "7", "User-Agent": "a test"}
JSON: dict[str, Any] = {"json": {"data": {"ndarray": [[1, 2]]}}}
FORMS: dict[str, dict[str, Any]] = {
    "JSON": JSON,
    "a query": {"params": {"json": '{"strData": "x"}', "more": "1"}},
    "a form": {"data": {"json": '{"strData": "x"}', "more": "1"}},
    "parts": {"data": {"more": "1"}, "files": {"strData": ("s", "x"), "binData": ("b", b"\xff")}},
}


def asked(server: Server, method: str, path: str, **arguments: Any) -> tuple[int, Any, str | None]:
    """The status, the JSON and the model's own header of an answer."""
    address = server.url + path
    response = requests.request(method, address, headers=HEADERS, timeout=60, **arguments)
    return response.status_code, response.json(), response.headers.get("X-Teapot")


@pytest.mark.parametrize("path", ["/predict", "/api/v1.0/predictions"])
@pytest.mark.parametrize("form", FORMS)
def test_predict_reads_the_request_in_every_form(
    pairs: Callable[[str], Pair], path: str, form: str
) -> None:
    """Predict, tags and metrics read headers, path, query, forms, files and body from Flask."""
    theirs, ours = (asked(server, "POST", path, **FORMS[form]) for server in pairs("Flasky"))

    assert ours == theirs
    assert ours[1]["jsonData"]["caller"] == ours[1]["meta"]["tags"]["caller"] == "7"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health/status", None),
        ("POST", "/transform-input", {"strData": "x"}),
        ("POST", "/transform-output", {"strData": "x"}),
        ("POST", "/route", {"strData": "x"}),
        ("POST", "/aggregate", [{"strData": "x"}]),
        ("POST", "/send-feedback", {"request": {"data": {"ndarray": [[1]]}}, "reward": 1}),
    ],
)
def test_every_hook_reads_the_request(
    pairs: Callable[[str], Pair], method: str, path: str, body: Any
) -> None:
    """Flask's request is available in every hook, with upstream's values."""
    theirs, ours = (asked(server, method, path, json=body) for server in pairs("Flasky"))

    assert ours == theirs
    assert ours[0] == 200


@pytest.mark.parametrize("what", ["teapot", "shy teapot", "broken handler", "other", "seldon's"])
def test_exceptions_are_answered_by_the_models_own_handlers(
    pairs: Callable[[str], Pair], what: str
) -> None:
    """The model's error handlers answer its exceptions; other errors are answered as usual."""
    request = {"json": {"strData": what}}

    theirs, ours = (asked(server, "POST", "/predict", **request) for server in pairs("Flasky"))
    for _, body, _ in (theirs, ours):
        body.get("status", {}).pop("info", None)  # the text of the handler's own error differs

    assert ours == theirs
    assert (ours[0] == 418) == ("teapot" in what)


def test_over_grpc_there_is_no_request_of_flasks(pairs: Callable[[str], Pair]) -> None:
    """Over gRPC there is no Flask request: a model that uses one fails, under both servers."""

    def said(server: Server) -> str | None:
        with grpc.insecure_channel(server.grpc) as channel:
            stub = prediction_pb2_grpc.ModelStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(prediction_pb2.SeldonMessage(strData="x"), timeout=60)
            return str(caught.value.details())

    theirs, ours = map(said, pairs("Flasky"))

    assert str(ours) in str(theirs)
    assert "Working outside of request context" in str(ours)


def test_our_own_way_to_headers_works_under_upstream_too(pairs: Callable[[str], Pair]) -> None:
    """`request_headers` works under upstream's server too, so a Model can go back to it."""
    theirs, ours = (asked(server, "POST", "/predict", **JSON) for server in pairs("Headed"))

    assert ours == theirs
    assert (ours[1]["strData"], ours[1]["meta"]["tags"]) == (
        "7",
        {"content-type": "application/json"},
    )
