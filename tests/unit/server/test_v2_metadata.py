import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from prepackaged.server.protocols.v2.descriptors import POOL, SERVICE
from prepackaged.server.protocols.v2.metadata import model_config, model_metadata
from prepackaged.server.protocols.v2.openapi import paths
from prepackaged.server.protocols.v2.served import Name
from prepackaged.signature import Column, Signature, TensorSpec

NAME = Name("m", "v1")


def model(platform: str, signature: Signature | None) -> Any:
    """Build a model with a signature."""
    return type("Model", (), {"platform": platform, "signature": signature})()


def entry(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    """Build a tensor of the metadata."""
    return {"name": name, "datatype": datatype, "shape": shape}


def test_tensors_are_described_with_their_batch() -> None:
    """A variable size is -1, text is BYTES, and an unknown datatype is FP64."""
    signature = Signature(
        inputs=(
            TensorSpec("image", "f4", [None, 3, 224, 224]),
            TensorSpec("ids", "i8", [1, None]),
            TensorSpec("text", "O", [None]),
            TensorSpec("any", None, None),
            TensorSpec("flag", "?", [None]),
            TensorSpec("half", "f2", [None]),
        ),
        outputs=(TensorSpec("", "u1", [None, 2]),),
    )
    assert model_metadata(model("onnx", signature), NAME) == {
        "name": "m",
        "versions": ["v1"],
        "platform": "onnx_onnxv1",
        "inputs": [
            entry("image", "FP32", [-1, 3, 224, 224]),
            entry("ids", "INT64", [1, -1]),
            entry("text", "BYTES", [-1]),
            entry("any", "FP64", [-1]),
            entry("flag", "BOOL", [-1]),
            entry("half", "FP16", [-1]),
        ],
        "outputs": [entry("output-0", "UINT8", [-1, 2])],
    }


def test_columns_with_names_are_tensors_of_one_value_a_row() -> None:
    """Named columns are tensors of shape [-1, 1]; methods and classes are parameters."""
    signature = Signature(
        inputs=(
            Column("age", "float64"),
            Column("job", "text"),
            Column("n", "int64"),
            Column("ok", "bool"),
            Column("day", "datetime"),
            Column("size", "category", categories=("s", "m")),
            Column("code", "category", categories=(1, 2)),
            Column("x", "float32"),
        ),
        outputs=(Column("no"), Column("yes")),
        class_names=("no", "yes"),
        method="predict_proba",
        methods=("predict_proba", "predict"),
    )
    described = model_metadata(model("sklearn", signature), NAME)
    kinds = {each["name"]: each["datatype"] for each in described["inputs"]}
    assert kinds == {
        "age": "FP64", "job": "BYTES", "n": "INT64", "ok": "BOOL", "day": "BYTES",
        "size": "BYTES", "code": "INT64", "x": "FP32",
    }  # fmt: skip
    assert [each["shape"] for each in described["inputs"]] == [[-1, 1]] * 8
    assert described["outputs"] == [entry("predict_proba", "FP64", [-1, 2])]
    assert described["parameters"] == {
        "class_names": ["no", "yes"],
        "methods": ["predict_proba", "predict"],
    }


def test_columns_without_names_are_one_tensor() -> None:
    """Unnamed columns are one tensor of their common datatype; an unknown output size is -1."""
    signature = Signature(
        inputs=(Column(kind="float32"),) * 4, method="predict", methods=("predict",)
    )
    described = model_metadata(model("xgboost", signature), NAME)
    assert described["inputs"] == [entry("input-0", "FP32", [-1, 4])]
    assert described["outputs"] == [entry("predict", "FP64", [-1])]


@pytest.mark.parametrize(
    ("example", "datatype", "shape"),
    [
        (np.array([["a", "b"]]), "BYTES", [-1, 2]),
        (np.zeros(1, np.float32), "FP32", [-1]),
        (np.ones((1, 3), np.int32), "INT32", [-1, 3]),
        ([True], "BOOL", [-1]),
    ],
)
def test_a_known_prediction_gives_the_output_datatype(
    example: Any, datatype: str, shape: list[int]
) -> None:
    """Without output tensors, the output is that of a known answer, for any number of rows."""
    answering = model("xgboost", Signature(method="predict", methods=("predict",)))
    answering.example_answer = example
    described = model_metadata(answering, NAME)
    assert described["outputs"] == [entry("predict", datatype, shape)]


def test_an_output_without_axes_has_one_value() -> None:
    """An output without axes has the shape [1], which answers have."""
    signature = Signature(outputs=(TensorSpec("loss", "f4", []),))
    assert model_metadata(model("onnx", signature), NAME)["outputs"] == [entry("loss", "FP32", [1])]


def test_without_a_signature_the_metadata_has_empty_lists() -> None:
    """Without a signature, inputs and outputs are empty lists, as in KServe and MLServer."""
    described = model_metadata(model("skeleton", None), NAME)
    assert (described["inputs"], described["outputs"]) == ([], [])


def test_the_configuration_is_the_one_that_perf_analyzer_needs() -> None:
    """The model config has shapes without the batch dimension, if all tensors have one."""
    batch = Signature(
        inputs=(TensorSpec("x", "f4", [None, 3]), TensorSpec("t", "O", [None])),
        outputs=(TensorSpec("y", "i8", [None]),),
    )
    config = model_config(model_metadata(model("onnx", batch), NAME), 64)
    assert config["max_batch_size"] == 64
    assert config["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [3]},
        {"name": "t", "data_type": "TYPE_STRING", "dims": [1]},
    ]
    assert config["output"] == [{"name": "y", "data_type": "TYPE_INT64", "dims": [1]}]
    fixed = Signature(inputs=(TensorSpec("x", "f4", [1, 3]),))
    config = model_config(model_metadata(model("onnx", fixed), NAME), 64)
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [1, 3])


def test_openapi_shows_a_request_that_the_model_takes() -> None:
    """OpenAPI has an example request of one row, except for large inputs."""
    columns = Signature(inputs=(Column("age", "float64"), Column("job", "text", ("clerk",))))
    shown = paths("m", model_metadata(model("sklearn", columns), NAME), columns)
    assert shown["/v2/models/m/infer"]["post"]["requestBody"]["content"]["application/json"][
        "example"
    ] == {
        "inputs": [
            {**entry("age", "FP64", [1, 1]), "data": [0.5]},
            {**entry("job", "BYTES", [1, 1]), "data": ["clerk"]},
        ]
    }
    image = Signature(inputs=(TensorSpec("x", "f4", [None, 3, 224, 224]),))
    shown = paths("m", model_metadata(model("onnx", image), NAME), image)
    content = shown["/v2/models/m/infer"]["post"]["requestBody"]["content"]
    assert "example" not in content["application/json"]


def test_our_messages_coexist_with_those_of_a_client() -> None:
    """Our protobuf messages coexist with those of tritonclient, which have the same names."""
    theirs = descriptor_pb2.FileDescriptorProto(
        name="grpc_service.proto", package="inference", syntax="proto3"
    )
    theirs.message_type.add(name="ModelInferRequest").field.add(
        name="model_name", number=1, type=9, label=1
    )
    pool = descriptor_pool.Default()
    pool.Add(theirs)
    name = "inference.ModelInferRequest"
    their_class = GetMessageClass(pool.FindMessageTypeByName(name))
    our_class = GetMessageClass(POOL.FindMessageTypeByName(name))
    message = our_class(model_name="iris", id="r")
    assert their_class.FromString(message.SerializeToString()).model_name == "iris"


def test_nothing_is_added_to_the_default_pool() -> None:
    """Importing the whole server adds nothing to protobuf's default pool."""
    program = (
        "import prepackaged.server.runtime.cli\n"
        "from google.protobuf.descriptor_pool import Default\n"
        f"Default().FindServiceByName({SERVICE!r})"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert b"KeyError" in ended.stderr.splitlines()[-1]
