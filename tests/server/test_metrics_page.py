"""The metrics page of a running server."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import grpc
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from rawhttp import WAYS, connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS


def samples(server: Any, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """The values of the samples with this name, by their labels."""
    page = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    return {
        frozenset(sample.labels.items()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


def test_the_page_says_what_runs_and_how_long_it_took_to_load(
    start_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build info has version, image and Python as labels, and the load time is positive."""
    monkeypatch.setenv("PREDICTIVE_UNIT_IMAGE", "infuseai/iris:1.2")
    server = start_process("Mirror").server
    (labels,) = samples(server, "prepackaged_build_info")
    assert dict(labels) == {
        "version": version("prepackaged"),
        "image": "infuseai/iris:1.2",
        "framework": "",
        "framework_version": "",
        "python": platform.python_version(),
    }
    (seconds,) = samples(server, "prepackaged_model_load_seconds").values()
    assert seconds > 0


def test_requests_are_counted_and_timed_over_both_transports(
    start_process: Callable[..., Any],
) -> None:
    """Each request is counted once by method and code, and once in the histogram."""
    server = start_process("Mirror").server
    message = prediction_pb2.SeldonMessage(strData="x")
    with connected(server.url) as connection:
        for path in WAYS:
            assert connection.ask(post(text("x"), path)).status == 200
        assert connection.ask(post(b"{")).status == 400
        assert connection.ask(post(text("x"), "/transform-input")).status == 200
        assert connection.ask(get("/nowhere")).status == 404
    with grpc.insecure_channel(server.grpc) as channel:
        for stub in (prediction_pb2_grpc.ModelStub, prediction_pb2_grpc.SeldonStub):
            stub(channel).Predict(message, timeout=SECONDS)
        with pytest.raises(grpc.RpcError):
            prediction_pb2_grpc.RouterStub(channel).Route(message, timeout=SECONDS)
        prediction_pb2_grpc.TransformerStub(channel).TransformInput(message, timeout=SECONDS)

    expected = {
        ("predict", "200"): 4,
        ("predict", "400"): 1,
        ("transform_input", "200"): 2,
        ("route", "501"): 1,
        ("other", "404"): 1,
    }
    for name in ("prepackaged_requests_total", "prepackaged_request_seconds_count"):
        counted = {
            (dict(labels)["method"], dict(labels)["code"]): value
            for labels, value in samples(server, name).items()
        }
        counted.pop(("other", "200"))  # pings until the server had started
        assert counted == expected
