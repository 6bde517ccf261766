"""Each row of docs/differences.md, shown on both servers."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import rawhttp
from asks import (
    PREDICTIONS,
    Ask,
    ask,
    call,
    calls_of_a_type_error,
    compressed,
    header,
    health,
    info,
    metrics,
    metrics_page,
    post,
    raw,
    returned,
    sent,
    size_of_raw,
    status_of_raw,
)
from differences import RULES, Pair, ids
from seldon_core.proto import prediction_pb2
from serving import PROGRAMS, ROOT

FAILED = (500, "MICROSERVICE_INTERNAL_ERROR")
REFUSED = (400, "MICROSERVICE_BAD_DATA")
NOT_FOUND = (404, "MICROSERVICE_NOT_FOUND")
NOT_ALLOWED = (405, "MICROSERVICE_METHOD_NOT_ALLOWED")
BAD_METRIC = (500, "MICROSERVICE_BAD_METRIC")
X = {"strData": "x"}
ANSWERED = (200, X)


@dataclass(frozen=True)
class Example:
    """A row of the table: its name, a request, and the outcome on each server."""

    name: str
    ask: Ask
    theirs: Any
    ours: Any
    model: str = "Mirror"


def rows(*values: Any) -> dict[str, Any]:
    """A message with rows."""
    return {"data": {"ndarray": list(values)}}


def row(*values: Any) -> dict[str, Any]:
    """The answer of a model that returns one row."""
    names = [f"t:{number}" for number in range(len(values))]
    return {"data": {"ndarray": [list(values)], "names": names}}


def tensor(shape: list[int], values: list[float], **names: list[str]) -> dict[str, Any]:
    """A message or an answer with a tensor."""
    return {"data": {"tensor": {"shape": shape, "values": values}, **names}}


def tftensor(**values: Any) -> dict[str, Any]:
    """A message or an answer with the number 1.5 as a TensorProto."""
    shape = {"dim": [{"size": "1"}]}
    return {"data": {"tftensor": {"dtype": "DT_FLOAT", "tensorShape": shape, **values}}}


def deep(levels: int) -> str:
    """A message with nested lists."""
    return '{"jsonData": {"a": ' + "[" * levels + "]" * levels + "}}"


def described(kind: str) -> dict[str, Any]:
    """Mirror's description of an input of this type."""
    return {"jsonData": {"names": [], "shape": [], "type": kind}}


NAN = prediction_pb2.SeldonMessage(jsonData={"number_value": float("nan")})
LONG = {"json": '{"strData": "' + "x" * 5000 + '"}'}
MANY = tensor([700000], [0.5] * 700000)
ONE_HALF = tftensor(tensorContent="AADAPw==")
SLOT = {"json": "{"}
BRANCH_1 = tensor([1, 1], [1], names=["t:0"])
NUMBERS = {"n": 3, "f": 0.5, "a": [1, 2]}
EXAMPLES = [
    Example("unknown-route", ask("GET", "/nothing"), FAILED, NOT_FOUND),
    Example("unknown-route", ask("POST", "/predict/"), FAILED, NOT_FOUND),
    Example("other-protocols", ask("GET", "/v1/models"), FAILED, (200, {"models": ["model"]})),
    Example("other-protocols", ask("GET", "/v2/models"), FAILED, (200, {"models": ["model"]})),
    Example("pages", ask("GET", "/"), FAILED, (200, {"status": "alive"})),
    Example("wrong-method", ask("GET", PREDICTIONS), FAILED, NOT_ALLOWED),
    Example("bad-json", ask("GET", "/predict", params=SLOT), FAILED, REFUSED),
    Example("bad-json", ask("POST", "/predict", data=SLOT), FAILED, REFUSED),
    Example("bad-json", ask("POST", "/predict", files={"data": (None, "{")}), FAILED, REFUSED),
    Example("bad-text", ask("POST", "/predict", files={"strData": b"\xff"}), FAILED, REFUSED),
    Example("deep-json", post(deep(5000)), FAILED, REFUSED),
    Example(
        "error-text",
        info("{"),
        "Can't find JSON in data",
        "Can't find JSON in data: Expecting property name enclosed in double quotes:"
        " line 1 column 2 (char 1)",
    ),
    Example("null-meta", post(X | {"meta": None}), FAILED, ANSWERED),
    Example("null-meta", post(X | {"meta": {"tags": None}}), FAILED, ANSWERED),
    Example("wrong-meta", post(X | {"meta": 5}), FAILED, REFUSED),
    Example("wrong-types", post({"data": None}), FAILED, REFUSED),
    Example(
        "wrong-types",
        post({"data": {"ndarray": "a"}}),
        (200, {"data": {"ndarray": "a", "names": []}}),
        REFUSED,
    ),
    Example("ragged-rows", post(rows([1, 2], [3])), FAILED, REFUSED),
    Example("ragged-rows", call(rows([1, 2], [3])), "UNKNOWN", "INVALID_ARGUMENT"),
    Example("wrong-shape", post(tensor([3], [1, 2])), FAILED, REFUSED),
    Example("wrong-shape", call(tensor([3], [1, 2])), "UNKNOWN", "INVALID_ARGUMENT"),
    Example("negative-shape", post(tensor([-1], [1])), (200, tensor([1], [1], names=[])), REFUSED),
    Example("bad-base64", post({"binData": "AAE"}), FAILED, REFUSED),
    Example("bad-base64", post({"binData": "A!AE="}), (200, {"binData": "AAE="}), REFUSED),
    Example("empty-aggregate", post([], "/aggregate"), FAILED, REFUSED),
    Example("mixed-row", post(rows(["a", 1.5])), (200, row("a", "1.5")), (200, row("a", 1.5))),
    Example("compressed-body", compressed({"strData": "x"}), REFUSED, ANSWERED),
    Example(
        "column-names",
        post(rows([1, 2])),
        (200, {"data": {"ndarray": [["1", "2"]], "names": ["t:0", "t:1"]}}),
        (200, {"data": {"ndarray": [["1", "2"]], "names": ["cat", "dog"]}}),
        "Named",
    ),
    Example(
        "whole-numbers",
        post(rows([101, 2.5])),
        (200, {"data": {"ndarray": [["101.0", "2.5"]], "names": ["t:0", "t:1"]}}),
        (200, {"data": {"ndarray": [["101", "2.5"]], "names": ["cat", "dog"]}}),
        "Named",
    ),
    Example("mixed-row", call(rows(["a", 1.5])), row("a", "1.5"), row("a", 1.5)),
    Example(
        "large-integers",
        post({"jsonData": {"n": 2**70 + 1}}),
        (200, {"jsonData": {"n": 2**70 + 1}}),
        (200, {"jsonData": {"n": 2.0**70}}),
    ),
    Example(
        "exact-integers",
        post(rows([2**53 + 1, 0.5])),
        (200, row(2.0**53, 0.5)),
        (200, row(2**53 + 1, 0.5)),
    ),
    Example(
        "tftensor",
        post(tftensor(floatVal=[1.5])),
        FAILED,
        (200, {"data": ONE_HALF["data"] | {"names": []}}),
    ),
    Example("tftensor", call(tftensor(floatVal=[1.5])), "UNKNOWN", ONE_HALF),
    Example(
        "writable-arrays",
        call(tensor([1], [1]) | {"meta": {"tags": {"return": "written"}}}),
        "UNKNOWN",
        tensor([1], [2.0]),
        "Returns",
    ),
    Example(
        "grpc-nan", call(NAN, "Generic", "TransformInput"), described("str"), described("float")
    ),
    Example(
        "nan", raw('{"jsonData": {"n": NaN}}', r'"jsonData":({.*?})'), '{"n":NaN}', '{"n":null}'
    ),
    Example("unicode", raw('{"strData": "é"}', '"strData":"(.*)"'), r"\u00e9", "é"),
    Example(
        "python-values",
        returned("numpy in a dict"),
        FAILED,
        (200, {"jsonData": NUMBERS}),
        "Returns",
    ),
    Example(
        "python-values",
        returned("bytes in a list"),
        FAILED,
        (200, {"data": {"ndarray": [{"b64": "/w=="}, {"b64": "Y2F0"}], "names": []}}),
        "Returns",
    ),
    Example(
        "python-values",
        returned("bytes in a list", call),
        "UNKNOWN",
        {"data": {"ndarray": [{"b64": "/w=="}, {"b64": "Y2F0"}]}},
        "Returns",
    ),
    Example(
        "python-values",
        returned("tuple in a dict", call),
        "UNKNOWN",
        {"jsonData": {"pair": [1.0, 2.0]}},
        "Returns",
    ),
    Example(
        "python-values",
        returned("numbers as keys", call),
        "UNKNOWN",
        {"jsonData": {"1": "one", "2": "two"}},
        "Returns",
    ),
    Example(
        "python-values", returned("bytearray", call), "UNKNOWN", {"binData": "YWJj"}, "Returns"
    ),
    Example(
        "numpy-scalar",
        returned("numpy number"),
        REFUSED,
        (200, {"data": {"ndarray": 1.5, "names": []}}),
        "Returns",
    ),
    Example("numpy-scalar", post(X, "/route"), REFUSED, (200, BRANCH_1), "Returns"),
    Example("own-exceptions", returned("not found"), FAILED, (404, REFUSED[1]), "Returns"),
    Example("own-exceptions", returned("not found", call), "UNKNOWN", "NOT_FOUND", "Returns"),
    Example("no-answer", returned("none"), REFUSED, FAILED, "Returns"),
    Example("no-answer", returned("number"), REFUSED, FAILED, "Returns"),
    Example("no-answer", returned("tuple"), REFUSED, FAILED, "Returns"),
    Example("route-result", post(X, "/route"), REFUSED, FAILED, "Faulty"),
    Example("deep-answer", raw(deep(500), '"(jsonData|reason)":'), "jsonData", "reason"),
    Example("type-error", calls_of_a_type_error, (200, 2), (500, 1), "Returns"),
    Example(
        "bad-metric-name", returned("unspeakable metric"), (200, row(1)), BAD_METRIC, "Returns"
    ),
    Example("raw-status", status_of_raw(-1), None, FAILED, "Raw"),
    Example("raw-205", size_of_raw(205), (205, True), (205, False), "Raw"),
    Example(
        "silent-error",
        sent(rawhttp.post(b'{"strData": "", "meta": {"tags": {"return": "silent"}}}')),
        (204, None),
        (500, "MICROSERVICE_BAD_DATA"),
        "Returns",
    ),
    Example("no-http", sent(b"noise\r\n\r\n"), (400, None), REFUSED),
    Example(
        "large-head",
        sent(rawhttp.get("/health/ping", "X: " + "x" * 70_000)),
        (400, None),
        (431, "MICROSERVICE_BAD_DATA"),
    ),
    Example(
        "large-head",
        sent(rawhttp.get("/health/ping", *["X: x"] * 200)),
        (400, None),
        (200, None),
    ),
    Example(
        "large-body",
        sent(rawhttp.post(b"{}", length=300 * 2**20), is_cut=True),
        (400, "MICROSERVICE_BAD_DATA"),
        (413, "MICROSERVICE_BAD_DATA"),
    ),
    Example(
        "long-query",
        ask("GET", "/predict", params=LONG),
        (400, None),
        (200, {"strData": "x" * 5000}),
    ),
    Example("keep-alive", header("Connection"), "close", None),
    Example("request-id", header("X-Request-Id", **{"X-Request-Id": "7"}), None, "7"),
    Example("request-id", header("Seldon-Puid", **{"Seldon-Puid": "7"}), None, "7"),
    Example(
        "cors-origin",
        header("Access-Control-Allow-Origin", Origin="http://a.example"),
        "http://a.example",
        "*",
    ),
    Example("grpc-status", call({}), "UNKNOWN", "INVALID_ARGUMENT"),
    Example("grpc-status", call(X, "Router", "Route"), "UNKNOWN", "UNIMPLEMENTED", "Bare"),
    Example("grpc-status", returned("failure", call), "UNKNOWN", "INTERNAL", "Returns"),
    Example("grpc-status", returned("forbidden", call), "UNKNOWN", "PERMISSION_DENIED", "Returns"),
    Example("grpc-large", call(MANY), "RESOURCE_EXHAUSTED", MANY),
    Example("grpc-health", health, "UNIMPLEMENTED", "SERVING"),
    Example("worker-id", metrics("^mirrored_total{.*worker_id="), "more than once", "never"),
    Example("metric-families", metrics("^# TYPE mirrored_total "), "more than once", "once"),
    Example("own-metrics", metrics("^# TYPE prepackaged_requests_total "), "never", "once"),
    Example(
        "metrics-errors",
        metrics_page("/nothing"),
        (404, "text/html; charset=utf-8"),
        (404, "application/json"),
    ),
    Example(
        "metrics-type",
        metrics_page("/metrics"),
        (200, "text/plain; version=0.0.4; charset=utf-8; charset=utf-8"),
        (200, "text/plain; version=0.0.4; charset=utf-8"),
    ),
]
ELSEWHERE = {  # shown by separate tests
    "service-port",  # below
    "passthrough-object",  # test_payload_passthrough.py
    "custom-service",  # test_custom_service.py
    "flask-request",  # test_flask.py
    "error-handlers",  # the same
    "one-port",  # tests/server/test_one_port.py
    "pages",  # tests/unit/server/test_pages.py
    "open-inference-grpc",  # tests/server/test_v2_grpc.py
    "access-log",  # tests/server/test_access_log.py
    "tracing",  # tests/server/test_tracing.py
    "overload",  # tests/server/test_overload.py
    "slow-sender",  # tests/server/test_limits.py
    "timeout",  # the same
    "grpc-timeout",  # the same
    "many-connections",  # the same
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.name))
def test_both_servers_do_what_the_table_says(
    pairs: Callable[[str], Pair], example: Example
) -> None:
    """Each server does what the row of the table says."""
    theirs, ours = (example.ask(server) for server in pairs(example.model))

    assert (theirs, ours) == (example.theirs, example.ours)


def test_every_row_has_an_example_and_every_rule_a_row() -> None:
    """Every row has an example or a separate test, and every rule has a row."""
    shown = [example.name for example in EXAMPLES]

    assert sorted({*shown, *ELSEWHERE}) == sorted(ids())
    assert set(RULES) <= set(ids())


SHOW_UPSTREAMS_PORT = """
import argparse
from seldon_core import microservice

argparse.ArgumentParser.parse_known_args = lambda self: exit(str(self.get_default("http_port")))
microservice.main()
"""
SHOW_OUR_PORT = """
import os
from prepackaged.server.runtime.config import read_config

exit(str(read_config(["Model"], os.environ).http_port))
"""


@pytest.mark.parametrize(
    ("programs", "code", "port"),
    [(ROOT / ".envs/upstream/bin", SHOW_UPSTREAMS_PORT, "9000"), (PROGRAMS, SHOW_OUR_PORT, "9123")],
)
def test_the_port_that_primehub_sets_is_read_by_ours_alone(
    pairs: Callable[[str], Pair], programs: Any, code: str, port: str
) -> None:
    """PREDICTIVE_UNIT_SERVICE_PORT sets our REST port; upstream's server ignores it."""
    newer = "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"
    environment = {key: value for key, value in os.environ.items() if key != newer}
    environment["PREDICTIVE_UNIT_SERVICE_PORT"] = "9123"

    command = [programs / "python", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.stderr.strip().splitlines()[-1] == port
