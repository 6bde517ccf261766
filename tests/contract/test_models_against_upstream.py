"""Models of every style are called, answered and counted as by upstream's server."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from differences import Asked, Pair, Told, assert_as_foretold, said, told
from google.protobuf.json_format import ParseDict
from prometheus_client.parser import text_string_to_metric_families
from seldon_core.proto import prediction_pb2
from serving import Server

PATHS = [
    "/predict",
    "/transform-input",
    "/transform-output",
    "/route",
    "/aggregate",
    "/send-feedback",
]
PAYLOADS: dict[str, dict[str, Any]] = {
    "ndarray": {"data": {"ndarray": [[1, 2], [3, 4]]}},
    "tensor": {"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}, "names": ["a", "b"]}},
    "strData": {"strData": "x"},
    "binData": {"binData": "AAE="},
    "jsonData": {"jsonData": {"a": [1, 2]}},
}
# Results of `Returns` that both servers answer alike; the others differ on purpose.
SAME_RESULTS = [
    "list",
    "flat list",
    "list of texts",
    "table of texts",
    "empty list",
    "integers",
    "floats",
    "single precision",
    "booleans",
    "text array",
    "objects",
    "three dimensions",
    "no rows",
    "text",
    "empty text",
    "bytes",
    "dict",
    "ragged list",
    "response",
    "response of text",
    "bad metric",
    "failure",
]


@pytest.mark.parametrize("model", ["Mirror", "Plain", "Bare", "Raw", "Faulty"])
@pytest.mark.parametrize(
    "path",
    ["/health/ping", "/health/status", "/api/v1.0/health/status", "/metadata", "/seldon.json"],
)
def test_get_requests_are_answered_as_by_upstream(
    pairs: Callable[[str], Pair], model: str, path: str
) -> None:
    """Health and metadata of models of every style equal upstream's, and their content types."""
    theirs, ours = (requests.get(server.url + path, timeout=60) for server in pairs(model))

    assert (ours.status_code, ours.headers["Content-Type"]) == (
        theirs.status_code,
        theirs.headers["Content-Type"],
    )
    assert ours.text == theirs.text or told(ours) == told(theirs)


@pytest.mark.parametrize("model", ["Plain", "Bare", "Raw"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", PAYLOADS)
def test_models_of_every_style_are_asked_as_upstream_asks_them(
    pairs: Callable[[str], Pair], model: str, path: str, kind: str
) -> None:
    """Models with no base class, only the base class, or raw hooks are called as by upstream."""
    message = PAYLOADS[kind] | {"meta": {"puid": "p", "tags": {"a": 1}, "routing": {"0": 1}}}
    body = {"/send-feedback": {"request": message, "reward": 0.5}, "/aggregate": [message, message]}

    theirs, ours = (told(server.post(body.get(path, message), path)) for server in pairs(model))

    assert ours == theirs


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("what", SAME_RESULTS)
def test_results_are_answered_as_by_upstream(
    pairs: Callable[[str], Pair], what: str, kind: str
) -> None:
    """The kind of answer follows from request and result as in upstream, over REST and gRPC."""
    message = PAYLOADS[kind] | {"meta": {"tags": {"return": what}}}
    request = ParseDict(message, prediction_pb2.SeldonMessage())

    theirs, ours = pairs("Returns")

    assert_as_foretold(
        Asked("other", [message]), told(theirs.post(message)), told(ours.post(message))
    )
    over_grpc = Asked("other", [message], is_grpc=True)
    answers = (said(server, "Model.Predict", request) for server in (theirs, ours))
    assert_as_foretold(over_grpc, *answers)


def test_a_models_own_status_and_reason_are_reported(pairs: Callable[[str], Pair]) -> None:
    """A SeldonMicroserviceException sets the status and reason that the client gets."""
    message = PAYLOADS["ndarray"] | {"meta": {"tags": {"return": "forbidden"}}}

    theirs, ours = (told(server.post(message)) for server in pairs("Returns"))

    assert ours == theirs == Told(403, "FORBIDDEN")


@pytest.mark.parametrize("path", ["/transform-input", "/transform-output", "/aggregate"])
def test_failing_hooks_are_reported_as_by_upstream(pairs: Callable[[str], Pair], path: str) -> None:
    """Errors in hooks give the client the same answer as under upstream."""
    body = [PAYLOADS["ndarray"]] if path == "/aggregate" else PAYLOADS["ndarray"]

    theirs, ours = (told(server.post(body, path)) for server in pairs("Faulty"))

    assert ours == theirs


def test_metrics_are_counted_as_upstream_counts_them(pairs: Callable[[str], Pair]) -> None:
    """Metrics have upstream's names, labels and values, except for the label worker_id."""

    def counted(server: Server) -> dict[Any, float]:
        before = samples(server)
        server.post(PAYLOADS["ndarray"])
        server.post({"request": PAYLOADS["ndarray"], "reward": 0.5}, "/send-feedback")
        after = samples(server)
        return {key: round(after[key] - before.get(key, 0), 6) for key in after}

    theirs, ours = map(counted, pairs("Mirror"))

    assert ours == theirs
    assert sum(theirs.values()) > 0


def samples(server: Server) -> dict[Any, float]:
    """The model's metrics; bounds of buckets are rounded, as they depend on numpy."""
    text = requests.get(server.metrics + "/metrics", timeout=60).text
    found: dict[Any, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {key: value for key, value in sample.labels.items() if key != "worker_id"}
            if "le" in labels:
                labels["le"] = f"{float(labels['le']):.12g}"
            if not sample.name.startswith("prepackaged_"):
                key = (sample.name, *sorted(labels.items()))
                found[key] = found.get(key, 0) + sample.value
    return found
