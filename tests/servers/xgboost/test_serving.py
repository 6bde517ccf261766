"""The server as a process: both microservices, many rows at once, limited threads."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, Server, serve
from xgboost import XGBClassifier

Array = np.ndarray[Any, np.dtype[Any]]

SERVER = ROOT / "xgboost/server"


@pytest.mark.parametrize("program", [OURS, UPSTREAM])
def test_both_microservices_serve_the_model(
    program: str, classifier: XGBClassifier, rows: Array, tmp_path: Path
) -> None:
    """A booster answers many rows in several threads, also in a forked worker."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(classifier))
    whole = np.nan_to_num(np.tile(rows, (20, 1)))
    body = {"data": {"ndarray": whole.tolist()}}

    with serve(
        SERVER, program=PROGRAMS / program, model_uri=str(tmp_path), method="margin"
    ) as server:
        answers = [server.post(body) for _ in range(2)]
        over_grpc = asked_over_grpc(server, whole)

    expected = classifier.predict(whole, output_margin=True)
    for answer in answers:
        assert np.array_equal(np.float32(answer.json()["data"]["ndarray"]), expected)
    assert np.array_equal(np.float32(over_grpc), expected.ravel())


def asked_over_grpc(server: Server, rows: Array) -> list[float]:
    """Send the rows as a tensor over gRPC; returns the values of the answer."""
    tensor = prediction_pb2.Tensor(shape=rows.shape, values=rows.ravel())
    message = prediction_pb2.SeldonMessage(data=prediction_pb2.DefaultData(tensor=tensor))
    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        answer = prediction_pb2_grpc.ModelStub(channel).Predict(message, timeout=60)
    return list(answer.data.tensor.values)


COUNT_THREADS = """
import json, os, sys
import numpy as np
import prepackaged
from Model import Model

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
model = Model(sys.argv[1])
model.predict(np.zeros((64, 4)), [])
few = threads()
model.predict(np.zeros((20_000, 4)), [])
model.predict(np.zeros((200, 4)), [], {"tags": {"method": "contributions"}})
print(json.dumps([few - before, threads() - before]))
"""


@pytest.mark.parametrize(
    ("name", "allowed"), [("model.pkl", "1"), ("model.pkl", "2"), ("model.ubj", "2")]
)
def test_no_more_threads_are_started_than_the_container_has_processors(
    name: str, allowed: str, rows: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading and few rows start no threads, and many rows no more than allowed."""
    wrapper = XGBClassifier(n_estimators=5, n_jobs=7).fit(rows, rows[:, 0] > 0)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(wrapper))
    wrapper.save_model(tmp_path / "model.ubj")
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)

    counted = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS, tmp_path / name],
        cwd=SERVER,
        capture_output=True,
        text=True,
        check=True,
    )

    for_few_rows, for_many = json.loads(counted.stdout)
    assert for_few_rows == 0
    assert for_many == min(int(allowed), len(os.sched_getaffinity(0))) - 1


@pytest.mark.parametrize("method", ["predict", "predict_proba", "label", "margin", "leaf"])
def test_the_metadata_of_v2_tells_the_datatype_of_each_method(
    method: str, classifier_file: Path, rows: Any, serve_model: Callable[..., Server]
) -> None:
    """The output has the datatype and the shape of a row in the metadata and in an answer."""
    server = serve_model(classifier_file, method=method)
    values = np.nan_to_num(rows[:3]).tolist()
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [3, 4], "data": values}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    (answer,) = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    assert described == [
        {"name": method, "datatype": answer["datatype"], "shape": [-1, *answer["shape"][1:]]}
    ]
    assert answer["datatype"] == {"label": "INT64", "leaf": "INT32"}.get(method, "FP32")
