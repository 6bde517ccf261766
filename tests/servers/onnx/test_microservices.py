"""The same Model under our microservice and under upstream's, in separate processes.

All other tests here run under ours, in the test's process.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
import requests
from google.protobuf.json_format import MessageToDict, ParseDict
from graphs import product, weights
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.proto.prediction_pb2_grpc import SeldonStub
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, Server, fail_to_serve, serve

SERVER = ROOT / "onnx/server"
SIZE = 256  # enough for onnxruntime to share the work among threads
ROWS = np.ones((64, SIZE))
ANSWERS = (ROWS @ weights(SIZE, 2)).tolist()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model of one product."""
    directory = tmp_path_factory.mktemp("product")
    onnx.save(product(SIZE, 2), directory / "model.onnx")
    return directory


@pytest.fixture(scope="module", params=[OURS, UPSTREAM])
def server(request: pytest.FixtureRequest, directory: Path) -> Iterator[Server]:
    """A server with the product, under each microservice, with several threads per request."""
    parameters = {"model_uri": str(directory), "intra_op_num_threads": "2"}
    parameters |= {"execution_mode": "parallel", "inter_op_num_threads": "2"}
    with serve(SERVER, program=PROGRAMS / request.param, **parameters) as server:
        yield server


def test_the_server_starts_and_is_healthy(server: Server) -> None:
    """Both microservices have the same paths for liveness and readiness."""
    assert requests.get(server.url + "/health/ping", timeout=60).text == "pong"
    status = requests.get(server.url + "/health/status", timeout=60)
    assert (status.status_code, status.json()["strData"]) == (200, "healthy")


def test_threads_work_in_the_workers(server: Server) -> None:
    """Sessions with threads work in upstream's workers, which are forked after loading."""
    for _ in range(3):
        answer = server.post({"data": {"ndarray": ROWS.tolist()}})
        assert answer.json()["data"]["ndarray"] == ANSWERS


def test_grpc_answers_and_refuses_as_rest_does(server: Server) -> None:
    """Over gRPC, the numbers and the error messages are the same as over REST."""
    flat = {"shape": [1, SIZE], "values": [1] * SIZE}
    narrow = {"shape": [1, 3], "values": [1] * 3}
    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)  # upstream's opens after REST
        predict = SeldonStub(channel).Predict
        answer = MessageToDict(predict(message(flat), timeout=60))
        with pytest.raises(grpc.RpcError) as caught:
            predict(message(narrow), timeout=60)

    assert answer["data"]["tensor"]["values"] == ANSWERS[0]
    assert f"'x': expected float32 of shape [n, {SIZE}], got" in caught.value.details()


def message(tensor: Any) -> SeldonMessage:
    """A request with this tensor."""
    return ParseDict({"data": {"tensor": tensor}}, SeldonMessage())


def test_the_metadata_is_the_models(server: Server) -> None:
    """Under both microservices, the metadata is available before any request."""
    metadata = requests.get(server.url + "/metadata", timeout=60).json()

    assert metadata["platform"] == "onnx"
    assert metadata["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]


@pytest.mark.parametrize("microservice", [OURS, UPSTREAM])
def test_a_wrong_deployment_ends_with_the_line_that_says_why(
    microservice: str, tmp_path: Path
) -> None:
    """The server exits with status 1, and nothing follows the line that a platform shows."""
    content = product()
    content.ir_version = 999
    onnx.save(content, tmp_path / "model.onnx")

    failed = fail_to_serve(SERVER, program=PROGRAMS / microservice, model_uri=str(tmp_path))

    assert failed.status == 1
    assert "needs ai.onnx 20 and IR version 999; onnxruntime" in failed.last_line
    assert "Traceback" not in failed.log
