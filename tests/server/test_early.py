"""The ports during loading, with PREPACKAGED_OPEN_EARLY."""

import json
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rawhttp import connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from v2 import call
from waiting import SECONDS, wait_until

SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)
HELLO = prediction_pb2.SeldonMessage(strData="hello")


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def loading(
    start_process: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Any:
    """A server that loads its model, with open ports, until the file `open` exists."""
    monkeypatch.setenv("PREPACKAGED_OPEN_EARLY", "true")
    monkeypatch.setenv("GUNICORN_WORKERS", request.param)
    process = start_process("Loads", directory=str(tmp_path))
    wait_until((tmp_path / "loads").exists)
    return process


def is_answered(process: Any) -> bool:
    """Return whether a new client gets a prediction; False if it is refused."""
    with suppress(ConnectionError), connected(process.server.url) as connection:
        answer = connection.ask(post(text("hi")))
        return answer.status == 200 and answer.text == "hi"
    return False


def test_rest_is_alive_and_not_ready(loading: Any, tmp_path: Path) -> None:
    """While loading, /health/ping is answered and everything else gets 503 with Retry-After."""
    with connected(loading.server.url) as connection:
        for request in (post(text("hi")), get("/health/status"), get("/metadata"), get("/x")):
            assert connection.ask(get("/health/ping")).body == b"pong"
            answer = connection.ask(request)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.info == "the model is being loaded"
        v1 = connection.ask(get("/v1/models/model"))
        assert (v1.status, v1.headers["retry-after"]) == (503, "1")
        assert json.loads(v1.body) == {"error": "the model is being loaded"}
        mlflow = connection.ask(post(b"{}", "/invocations"))
        assert json.loads(mlflow.body)["message"] == "the model is being loaded"
    (tmp_path / "open").touch()
    wait_until(lambda: is_answered(loading))


def test_a_large_request_gets_the_same_error(loading: Any, tmp_path: Path) -> None:
    """A large request gets 503 too, not 413: it is accepted once the model is loaded."""
    with connected(loading.server.url) as connection:
        answer = connection.ask(post(text("x" * 2**21)))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.info == "the model is being loaded"
    message = prediction_pb2.SeldonMessage(strData="x" * 2**21)
    with grpc.insecure_channel(loading.server.grpc) as channel, pytest.raises(grpc.RpcError) as no:
        prediction_pb2_grpc.ModelStub(channel).Predict(message, timeout=SECONDS)
    assert no.value.code() == grpc.StatusCode.UNAVAILABLE
    (tmp_path / "open").touch()


def test_the_open_inference_protocol_is_alive_and_not_ready(loading: Any, tmp_path: Path) -> None:
    """While loading, the server is live and not ready, in REST's format and in gRPC's."""
    with connected(loading.server.url) as connection:
        assert connection.ask(get("/v2/health/live")).body == b'{"live":true}'
        for path, body in (
            ("/v2/health/ready", {"ready": False}),
            ("/v2/models/model/ready", {"name": "model", "ready": False}),
            ("/v2/models/model", {"error": "the model is being loaded"}),
            ("/v2/models/model/infer", {"error": "the model is being loaded"}),
        ):
            answer = connection.ask(get(path))
            assert (answer.status, json.loads(answer.body)) == (503, body)
            assert answer.headers["retry-after"] == "1"
        about = json.loads(connection.ask(get("/v2")).body)
        assert (about["name"], "binary_tensor_data" in about["extensions"]) == ("prepackaged", True)
    assert call(loading.server, "ServerLive").live is True
    assert call(loading.server, "ServerMetadata").name == "prepackaged"
    assert call(loading.server, "ServerReady").ready is False
    assert call(loading.server, "ModelReady", name="model").ready is False
    with pytest.raises(grpc.RpcError) as caught:
        call(loading.server, "ModelInfer", model_name="model")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert dict(caught.value.trailing_metadata()) == {"grpc-retry-pushback-ms": "1000"}
    (tmp_path / "open").touch()
    wait_until(lambda: call(loading.server, "ServerReady").ready)


def test_mlflow_s_health_is_refused_in_its_form(loading: Any, tmp_path: Path) -> None:
    """While loading, MLflow's paths get 503 in MLflow's format; the version does not wait."""
    refusal = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "the model is being loaded"}
    with connected(loading.server.url) as connection:
        for request in (get("/ping"), get("/health"), get("/ping", method="DELETE")):
            answer = connection.ask(request)
            assert (answer.status, json.loads(answer.body)) == (503, refusal)
            assert answer.headers["retry-after"] == "1"
        assert connection.ask(post(b"{}", "/invocations")).status == 503
        assert connection.ask(get("/version")).body.decode() == version("prepackaged")
    (tmp_path / "open").touch()
    wait_until(lambda: requests.get(f"{loading.server.url}/ping", timeout=60).status_code == 200)


def test_loading_by_request_is_refused_for_good(loading: Any, tmp_path: Path) -> None:
    """If it is off, load gets 403 from the beginning, since a retry would not help."""
    with connected(loading.server.url) as connection:
        answer = connection.ask(post(b"", "/v2/repository/models/model/load"))
    assert answer.status == 403
    assert "PREPACKAGED_REPOSITORY_API" in json.loads(answer.body)["error"]
    (tmp_path / "open").touch()


def test_grpc_is_alive_and_not_serving(loading: Any, tmp_path: Path) -> None:
    """While loading, gRPC health is NOT_SERVING and calls get UNAVAILABLE."""
    with grpc.insecure_channel(loading.server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        model = prediction_pb2_grpc.ModelStub(channel)
        for service in ("", "seldon.protos.Model"):
            question = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(question, timeout=SECONDS).status == NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            model.Predict(HELLO, timeout=SECONDS)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == "the model is being loaded"
        (tmp_path / "open").touch()
        wait_until(lambda: health.Check(question, wait_for_ready=True).status == SERVING)
        assert model.Predict(HELLO, timeout=SECONDS, wait_for_ready=True).strData == "hello"


def test_a_connection_from_loading_is_closed_with_its_503(loading: Any, tmp_path: Path) -> None:
    """A connection from the loading phase ends with a 503 that has `Connection: close`."""
    with connected(loading.server.url) as connection:
        assert connection.ask(get("/health/ping")).body == b"pong"
        (tmp_path / "open").touch()
        while (answer := connection.ask(post(text("hi")))).headers.get("connection") != "close":
            assert answer.status == 503
        assert answer.status == 503


def test_connections_to_the_metrics_port_stay_open_after_loading(
    loading: Any, tmp_path: Path
) -> None:
    """After loading, connections to the metrics port are kept open."""
    with connected(loading.server.url) as early:
        assert early.ask(get("/health/ping")).body == b"pong"
        (tmp_path / "open").touch()
        assert early.is_closed()
    wait_until(lambda: is_answered(loading))
    with connected(loading.server.metrics) as connection:
        for _ in range(2):
            answer = connection.ask(get("/metrics"))
            assert (answer.status, answer.headers.get("connection")) == (200, None)


def test_a_model_that_cannot_be_loaded_ends_the_server(loading: Any, tmp_path: Path) -> None:
    """A model that fails to load ends the server, and the last line has the reason."""
    (tmp_path / "written").write_text("fail")
    (tmp_path / "written").rename(tmp_path / "open")
    assert loading.status() == 1
    last_line = loading.server.log().splitlines()[-1]
    assert last_line.endswith("Loads cannot be loaded: ValueError: the model is broken")
