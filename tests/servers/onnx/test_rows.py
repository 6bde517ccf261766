"""Answers over V1 and V2: nested alike for any number of rows, and of the declared datatypes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import requests
from graphs import graph, node, scores
from onnx import helper
from onnx.reference import ReferenceEvaluator

from prepackaged import ClientError

PAIR = ("float", (1, 2))
FOUND = [node("NonZero", "x", "z"), node("Transpose", "z", "found")]
SUM = node("ReduceSum", "x", "y", keepdims=0)
DOUBLED = node("Add", "x x", "z")


def of_one_row(nodes: Any, **outputs: Any) -> onnx.ModelProto:
    """A graph whose batch is fixed at 1."""
    return graph(nodes, {"x": PAIR}, outputs)


@pytest.mark.parametrize(
    "model",
    [
        of_one_row(FOUND, found=("int64", ("k", 2))),
        of_one_row(FOUND, found=("int64", None)),
        of_one_row([*FOUND, node("Neg", "x", "y")], y=PAIR, found=("int64", ("k", 2))),
        of_one_row([SUM], y=("float", ())),
        of_one_row([SUM, DOUBLED], y=("float", ()), z=PAIR),
        scores(1),
    ],
    ids=["free", "unknown", "beside a row", "number", "number beside a row", "scores of classes"],
)
def test_each_instance_gets_the_prediction_that_it_gets_alone(
    model: onnx.ModelProto, tmp_path: Path, serve_model: Any
) -> None:
    """If the batch is fixed at 1, one instance and several are nested alike in V1."""
    onnx.save(model, tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    rows = [[0, 5], [3, 4]]

    (first,), (second,), together = (
        server.post({"instances": some}, "/v1/models/model:predict").json()["predictions"]
        for some in ([rows[0]], [rows[1]], rows)
    )

    assert together == [first, second]


@pytest.mark.parametrize("operator", ["GRU", "RNN", "LSTM"])
def test_the_state_of_a_recurrent_layer_has_no_batch_first(
    operator: str, tmp_path: Path, model_of: Any
) -> None:
    """Its first axis, the directions, keeps its size: one state goes with every row."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[operator]
    weights = {
        "w": np.full((1, gates * 2, 3), 0.5, np.float32),
        "r": np.full((1, gates * 2, 2), 0.25, np.float32),
    }
    states = ["h", "c"][: 1 + (operator == "LSTM")]
    nodes = [
        node("Transpose", "x", "steps", perm=[1, 0, 2]),
        helper.make_node(operator, ["steps", "w", "r", "", "", *states], ["", "y"], hidden_size=2),
    ]
    inputs: Any = {"x": ("float", (1, 4, 3)), **dict.fromkeys(states, ("float", (1, 1, 2)))}
    content = graph(nodes, inputs, {"y": ("float", (1, 1, 2))}, weights)
    onnx.save(content, tmp_path / "model.onnx")
    model = model_of(tmp_path)
    rows = np.random.default_rng(0).random((2, 4, 3), dtype=np.float32)
    state = np.ones((1, 1, 2), np.float32)

    answer = model.predict({"x": rows, **dict.fromkeys(states, state)})

    run = ReferenceEvaluator(content).run
    given = dict.fromkeys(states, state)
    expected = np.concatenate([run(None, {"x": row[None], **given})[0] for row in rows])
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert [each.shape for each in model.signature.inputs][1:] == [(1, 1, 2)] * len(states)
    with pytest.raises(ClientError, match=r"'h': expected float32 of shape \[1, 1, 2\]"):
        model.predict({"x": rows, **dict.fromkeys(states, np.ones((2, 1, 2)))})


@pytest.mark.parametrize("rows", ["n", 1])
def test_scores_of_classes_have_the_datatype_that_the_metadata_says(
    rows: Any, tmp_path: Path, serve_model: Any
) -> None:
    """ZipMap's scores are float32, as ONNX says, in the metadata and in answers of V2."""
    onnx.save(scores(rows), tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    (answer,) = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    assert described == [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}]
    assert answer == {**described[0], "shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]}


@pytest.mark.parametrize("rows", [[[0, 5]], [[0, 5], [3, 4]]])
def test_a_sequence_is_bytes_in_the_metadata_of_v2_and_in_its_answers(
    rows: Any, tmp_path: Path, serve_model: Any
) -> None:
    """A sequence of tensors has an element of BYTES for each, whether or not sizes are equal."""
    content = graph([node("SplitToSequence", "x", "y")], {"x": ("float", ("n", 2))}, {})
    kind = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [None, 2])
    content.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(kind)))
    onnx.save(content, tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": rows}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    (answer,) = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    assert described == [{"name": "y", "datatype": "BYTES", "shape": [-1]}]
    assert answer["datatype"] == "BYTES"
    assert [json.loads(each) for each in answer["data"]] == [[row] for row in rows]
