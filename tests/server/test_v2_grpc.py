"""The Open Inference Protocol over gRPC, beside Seldon's."""

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from v2 import FP64_ROW, call, serve_echo

from prepackaged.server.protocols.v2.descriptors import SERVICE
from prepackaged.testing import Served

NAMED = {"model_name": "model"}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server of a loaded Echo."""
    with serve_echo() as served:
        yield served


def refusal(server: Served, method: str, **fields: Any) -> tuple[Any, str]:
    """Code and details of a failing call."""
    with pytest.raises(grpc.RpcError) as caught:
        call(server, method, **fields)
    return caught.value.code(), caught.value.details()


def test_the_metadata_over_grpc_describes_server_and_model(server: Served) -> None:
    """The server's and the model's metadata are the same as over REST."""
    assert call(server, "ServerLive").live
    assert call(server, "ServerReady").ready
    assert call(server, "ServerMetadata").version == importlib.metadata.version("prepackaged")
    assert call(server, "ModelMetadata", name="model", version="1").platform == "echo"
    assert [each.state for each in call(server, "RepositoryIndex").models] == ["READY"]
    for name, version in (("model", ""), ("model", "1")):
        assert call(server, "ModelReady", name=name, version=version).ready


def test_an_unknown_model_is_not_ready_and_no_error(server: Served) -> None:
    """ModelReady of an unknown model is false and no error, for clients that poll."""
    for name, version in (("iris", ""), ("model", "2")):
        assert call(server, "ModelReady", name=name, version=version).ready is False


@pytest.mark.parametrize(
    ("method", "fields", "code", "text"),
    [
        ("ModelMetadata", {"name": "iris"}, "NOT_FOUND",
         "there is no model 'iris' here; 'model' is served"),
        ("ModelInfer", {"model_name": "model", "model_version": "2"}, "NOT_FOUND",
         "model 'model' has version '1' here, not '2'"),
        ("ModelInfer", {"model_name": "model"}, "INVALID_ARGUMENT",
         "expected at least one input, got none"),
        ("ModelInfer", {"model_name": "model", "inputs": [FP64_ROW]}, "INVALID_ARGUMENT",
         "input 'x': expected 1 values for shape [1, 1], got 0"),
        ("ModelInfer", {"model_name": "model", "inputs": [{**FP64_ROW, "datatype": "FP8"}]},
         "INVALID_ARGUMENT", ("input 'x': expected datatype as one of BOOL, UINT8, UINT16, UINT32,"
         " UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES, got 'FP8'")),
        ("ModelInfer", {"model_name": "model", "inputs": [FP64_ROW], "raw_input_contents": [b"1"]},
         "INVALID_ARGUMENT", "input 'x': expected 8 bytes for FP64 of shape [1, 1], got 1"),
        ("ModelInfer", {"model_name": "model", "inputs": [FP64_ROW],
         "raw_input_contents": [b"", b""]}, "INVALID_ARGUMENT",
         "expected raw_input_contents for each of 1 inputs, or for none, got 2"),
        ("ModelInfer", {"model_name": "model", "raw_input_contents": [b"\0" * 8],
         "inputs": [{**FP64_ROW, "contents": {"fp64_contents": [1]}}]}, "INVALID_ARGUMENT",
         "input 'x': expected either raw_input_contents or contents, got both"),
        ("ModelInfer", {"model_name": "model",
         "inputs": [{**FP64_ROW, "contents": {"fp32_contents": [1]}}]}, "INVALID_ARGUMENT",
         "input 'x': expected values in fp64_contents, got some in fp32_contents"),
        ("ModelInfer", {"model_name": "model",
         "inputs": [{**FP64_ROW, "datatype": "FP16", "contents": {"fp32_contents": [1]}}]},
         "INVALID_ARGUMENT", "input 'x': expected FP16 in raw_input_contents, its only place"),
        ("ModelInfer", {"model_name": "model", "inputs": [{"name": "x", "datatype": "INT8",
         "shape": [1], "contents": {"int_contents": [300]}}]}, "INVALID_ARGUMENT",
         "input 'x': expected int8, got 300 at [0]"),
        ("ModelInfer", {"model_name": "model",
         "inputs": [{**FP64_ROW, "contents": {"fp64_contents": [13]}}]}, "INTERNAL",
         "it is thirteen"),
        ("RepositoryModelLoad", {"model_name": "model"}, "PERMISSION_DENIED",
         "loading a model by request is off: expected PREPACKAGED_REPOSITORY_API=true"),
    ],
)  # fmt: skip
def test_an_error_over_grpc_has_a_code_and_the_same_words(
    server: Served, method: str, fields: Any, code: str, text: str
) -> None:
    """An error has the gRPC code for the party at fault, and REST's message."""
    assert refusal(server, method, **fields) == (grpc.StatusCode[code], text)


def test_large_messages_are_answered_like_small_ones(server: Served) -> None:
    """Messages of more than 100 kB, raw or typed, are read and written on other threads."""
    values = np.arange(30_000) + 0.25
    large = {**FP64_ROW, "shape": [30_000, 1]}

    raw = call(server, "ModelInfer", inputs=[large], raw_input_contents=[values.tobytes()], **NAMED)
    typed = call(
        server, "ModelInfer", inputs=[{**large, "contents": {"fp64_contents": values}}], **NAMED
    )

    assert raw.raw_output_contents == [values.tobytes()]
    assert typed.outputs[0].shape == [30_000, 1]
    assert typed.outputs[0].contents.fp64_contents == values.tolist()


def test_calls_that_are_not_offered_and_no_messages_are_refused(server: Served) -> None:
    """Unknown methods get UNIMPLEMENTED, and invalid messages INVALID_ARGUMENT."""
    with grpc.insecure_channel(server.grpc) as channel:
        for method, message, code in (
            ("ModelStatistics", b"", grpc.StatusCode.UNIMPLEMENTED),
            ("ModelInfer", b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
            ("ServerLive", b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(f"/{SERVICE}/{method}")(message, timeout=60)
            assert caught.value.code() is code


def test_health_and_reflection_know_the_service(server: Served) -> None:
    """Health checks know the service's name, and reflection has its messages, for grpcurl."""
    with grpc.insecure_channel(server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="seldon.protos.Model"),
        ]
        listed, file, seldon = stub.ServerReflectionInfo(iter(asked), timeout=60)
    assert SERVICE in [each.name for each in listed.list_services_response.service]
    assert b"ModelInferRequest" in file.file_descriptor_response.file_descriptor_proto[0]
    assert seldon.file_descriptor_response.file_descriptor_proto
