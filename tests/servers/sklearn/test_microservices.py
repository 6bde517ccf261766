"""The same Model under our microservice and under upstream's, in separate processes.

All other tests here run under ours, in the test's process.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from google.protobuf.json_format import MessageToDict, ParseDict
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.proto.prediction_pb2_grpc import SeldonStub
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, Server, fail_to_serve, serve

SERVER = ROOT / "sklearn/server"
ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
NAMES = {OURS: ["0", "1", "2"], UPSTREAM: ["t:0", "t:1", "t:2"]}
TENSOR = {"tensor": {"shape": [2, 4], "values": [*ROWS[0], *ROWS[1]]}}


@pytest.fixture(scope="module", params=[OURS, UPSTREAM])
def server(request: pytest.FixtureRequest, iris_directory: Path) -> Iterator[Server]:
    """A server with the iris classifier, under each microservice in turn."""
    program = PROGRAMS / request.param
    with serve(SERVER, program=program, model_uri=str(iris_directory)) as server:
        yield server


def test_the_server_starts_and_is_healthy(server: Server) -> None:
    """Both microservices have the same paths for liveness and readiness."""
    assert requests.get(server.url + "/health/ping", timeout=60).text == "pong"
    status = requests.get(server.url + "/health/status", timeout=60)
    assert (status.status_code, status.json()["strData"]) == (200, "healthy")


def test_rows_are_answered_in_their_kind(
    server: Server, classifier: Any, request: pytest.FixtureRequest
) -> None:
    """An ndarray is answered by an ndarray; a tensor, or rows as jsonData, by a tensor."""
    expected = classifier.predict_proba(ROWS)
    names = NAMES[request.node.callspec.params["server"]]
    ndarray = {"names": names, "ndarray": expected.tolist()}
    flat = {"shape": [2, 3], "values": expected.ravel().tolist()}
    tensor = {"names": names, "tensor": flat}

    assert server.post({"data": {"ndarray": ROWS}}).json() == {"data": ndarray, "meta": {}}
    assert server.post({"data": TENSOR}).json() == {"data": tensor, "meta": {}}
    assert server.post({"jsonData": ROWS}).json() == {"data": tensor, "meta": {}}


@pytest.mark.parametrize(
    ("request_body", "info"),
    [
        ({"data": {"ndarray": [[5.3, 3.5, 1.4]]}}, "expected rows of 4 values, got rows of 3"),
        ({"jsonData": [[1, 2, 3, 4], [5, 6]]}, "row 0 has 4 values, row 1 has 2 values"),
        ({"strData": "an iris"}, "got a string"),
        ({"binData": "AAAA"}, "got binData"),
        ({}, "Invalid request data type"),
    ],
    ids=["width", "ragged", "string", "bytes", "nothing"],
)
def test_the_clients_mistakes_are_reported(server: Server, request_body: Any, info: str) -> None:
    """Each client error is an HTTP 400 with Seldon's error body."""
    answer = server.post(request_body)

    assert answer.status_code == 400
    error = answer.json()["status"]
    assert info in error.pop("info")
    assert error == {"status": 1, "code": -1, "reason": "MICROSERVICE_BAD_DATA"}


def test_grpc_answers_and_refuses_as_rest_does(server: Server, classifier: Any) -> None:
    """Over gRPC, the numbers and the error messages are the same as over REST."""
    narrow = {"data": {"tensor": {"shape": [1, 3], "values": [5.3, 3.5, 1.4]}}}
    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)  # upstream's opens after REST
        predict = SeldonStub(channel).Predict
        answer = MessageToDict(predict(ParseDict({"data": TENSOR}, SeldonMessage()), timeout=60))
        with pytest.raises(grpc.RpcError) as caught:
            predict(ParseDict(narrow, SeldonMessage()), timeout=60)

    expected = classifier.predict_proba(ROWS)
    assert np.array(answer["data"]["tensor"]["values"]).tolist() == expected.ravel().tolist()
    assert "expected rows of 4 values, got rows of 3" in caught.value.details()


@pytest.mark.parametrize("microservice", [OURS, UPSTREAM])
def test_a_wrong_deployment_ends_with_the_line_that_says_why(
    microservice: str, tmp_path: Path
) -> None:
    """The server exits with status 1, and no traceback follows the line that a platform shows."""
    failed = fail_to_serve(SERVER, program=PROGRAMS / microservice, model_uri=str(tmp_path / "no"))

    assert failed.status == 1
    assert failed.last_line.endswith(
        f"model_uri '{tmp_path}/no' does not exist; {tmp_path} has nothing"
    )
