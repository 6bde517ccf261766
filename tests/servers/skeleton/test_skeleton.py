"""The skeleton's behaviour, under both microservices. A fork replaces these tests by its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.proto.prediction_pb2_grpc import SeldonStub
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, Server, fail_to_serve, serve

SERVER = ROOT / "skeleton/server"
REQUESTS = [
    {"data": {"ndarray": [[1, 2], [3, 4]]}},
    {"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}},
    {"strData": "Is anybody there?"},
    {"jsonData": {"is": ["anybody", "there"]}},
    {"binData": "aGVsbG8="},
]


@pytest.fixture(scope="module", params=[OURS, UPSTREAM])
def program(request: pytest.FixtureRequest) -> Path:
    """Each microservice in turn."""
    return PROGRAMS / str(request.param)


@pytest.fixture(scope="module")
def server(program: Path) -> Iterator[Server]:
    """The server without a model."""
    with serve(SERVER, program=program) as server:
        yield server


@pytest.mark.parametrize("request_body", REQUESTS, ids=lambda body: next(iter(body)))
def test_every_kind_of_rest_request_is_answered(server: Server, request_body: Any) -> None:
    """The server answers any payload over REST with the documented greeting, as strData."""
    answer = server.post(request_body)
    assert (answer.status_code, answer.json()) == (200, {"meta": {}, "strData": "Hello Model"})


@pytest.mark.parametrize("request_body", REQUESTS, ids=lambda body: next(iter(body)))
def test_every_kind_of_grpc_request_is_answered(server: Server, request_body: Any) -> None:
    """The server answers any payload over gRPC with the same greeting."""
    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)  # upstream's opens after REST
        answer = SeldonStub(channel).Predict(ParseDict(request_body, SeldonMessage()), timeout=60)
    assert answer.strData == "Hello Model"


def test_it_serves_with_a_model_uri(program: Path, tmp_path: Path) -> None:
    """The server accepts a model_uri that exists, and logs that it has loaded a model."""
    with serve(SERVER, program=program, model_uri=str(tmp_path)) as server:
        assert server.post({"strData": ""}).json()["strData"] == "Hello Model"
        assert str(tmp_path.resolve()) in server.log()


def test_a_missing_model_stops_the_start(program: Path, tmp_path: Path) -> None:
    """The server exits with status 1 and a clear log line if model_uri does not exist."""
    failed = fail_to_serve(SERVER, program=program, model_uri=str(tmp_path / "absent"))
    assert failed.status == 1
    assert failed.last_line.endswith(
        f"model_uri '{tmp_path}/absent' does not exist; {tmp_path} has nothing"
    )
