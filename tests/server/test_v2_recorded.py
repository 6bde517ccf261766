"""Replays requests of tritonclient 2.73.0, which tests/clients/record.py has recorded."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from rawhttp import Answer, connected

from prepackaged.server.protocols.v2.descriptors import CLASSES
from prepackaged.signature import Signature
from prepackaged.testing import Served, serve

RECORDED = Path(__file__).parent / "recorded/tritonclient.json"
MODEL = "m x"
FP32 = {"name": "output-0", "datatype": "FP32", "shape": [1, 2]}
ROW = [0.5, 2.0]
ROW_BYTES = np.array(ROW, "<f4").tobytes()
NAMED = {"model_name": MODEL, "model_version": "1"}


class Echo:
    """Returns its input."""

    def predict(self, X: Any, names: Any) -> Any:
        return X


class Methods:
    """Answers according to the requested method."""

    signature = Signature(method="predict", methods=("predict", "predict_proba"))
    names_outputs = False

    def predict(self, X: Any, names: Any, meta: Any) -> Any:
        return X * 0.5 if meta.get("method") == "predict_proba" else X


class Halves:
    """Answers with float16."""

    def predict(self, X: Any, names: Any) -> Any:
        return X.astype(np.float16)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server that echoes, with a model name that clients have to escape."""
    with serve(Echo(), model_name=MODEL) as served:
        yield served


@cache
def recorded() -> dict[str, bytes]:
    """The recorded requests by name."""
    texts = json.loads(RECORDED.read_text())
    return {name: text.encode("latin-1") for name, text in texts.items()}


def replay(server: Served, name: str) -> Answer:
    """Send a recorded request over HTTP and return the answer."""
    with connected(server.url) as connection:
        return connection.ask(recorded()[name])


def parts(answer: Answer) -> tuple[dict[str, Any], bytes]:
    """Split an answer into its JSON and the binary tensors after it."""
    size = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    return json.loads(answer.body[:size]), answer.body[size:]


def binary(output: dict[str, Any], size: int) -> dict[str, Any]:
    """An output whose values follow the JSON."""
    return {**output, "parameters": {"binary_data_size": size}}


def infer(server: Served, name: str) -> Any:
    """Send a recorded message over gRPC and return the answer."""
    return infer_message(server, recorded()[name])


def infer_message(server: Served, message: bytes) -> Any:
    """Send a message over gRPC and return the answer."""
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return CLASSES["ModelInferResponse"].FromString(call(message, timeout=60))


@pytest.mark.parametrize("name", ["json", "aio json"])
def test_json_is_answered_with_json_whatever_its_content_type(server: Served, name: str) -> None:
    """JSON gets uncompressed JSON, with no Content-Type (sync client) or octet-stream (aio)."""
    answer = replay(server, name)
    assert parts(answer) == ({**NAMED, "outputs": [{**FP32, "data": ROW}]}, b"")
    assert answer.headers["content-type"] == "application/json"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    "name",
    ["json, outputs not listed", "binary", "gzip", "deflate", "aio binary", "version"],
)
def test_a_binary_answer_has_its_tensors_behind_the_json(server: Served, name: str) -> None:
    """Binary tensors follow the JSON if an output or the request asks for them."""
    answer = replay(server, name)
    assert parts(answer) == ({**NAMED, "outputs": [binary(FP32, 8)]}, ROW_BYTES)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["access-control-expose-headers"] == "Inference-Header-Content-Length"


def test_binary_values_may_be_answered_in_json(server: Served) -> None:
    """An output may be JSON even if the inputs are binary."""
    answer = replay(server, "binary in, json out")
    assert parts(answer) == ({**NAMED, "outputs": [{**FP32, "data": ROW}]}, b"")


def test_an_id_comes_back_with_the_same_characters(server: Served) -> None:
    """The request's id comes back unchanged, including a surrogate pair in JSON escapes."""
    assert parts(replay(server, "id"))[0]["id"] == "caf\u00e9 \U0001f600"


def test_an_empty_tensor_is_a_tensor(server: Served) -> None:
    """An empty tensor has `binary_data_size` 0, and the answer is JSON only."""
    answer = replay(server, "empty")
    output = {"name": "output-0", "datatype": "FP32", "shape": [0, 4]}
    assert parts(answer) == ({**NAMED, "outputs": [binary(output, 0)]}, b"")
    assert answer.headers["content-type"] == "application/json"


def test_elements_of_bytes_are_exact(server: Served) -> None:
    """BYTES elements are exact: with NUL, empty, and invalid UTF-8."""
    content = b"\3\0\0\0a\0b\0\0\0\0\1\0\0\0\xff"
    output = {"name": "output-0", "datatype": "BYTES", "shape": [3]}
    answer = replay(server, "bytes")
    assert parts(answer) == ({**NAMED, "outputs": [binary(output, len(content))]}, content)
    message = infer(server, "grpc bytes")
    assert list(message.raw_output_contents) == [content]


def test_texts_and_large_integers_are_exact_in_json(server: Served) -> None:
    """Texts and integers beyond 2^53 are exact in JSON."""
    (text,) = parts(replay(server, "text"))[0]["outputs"]
    assert (text["datatype"], text["data"]) == ("BYTES", ["caf\u00e9", ""])
    (integers,) = parts(replay(server, "integers"))[0]["outputs"]
    assert (integers["datatype"], integers["data"]) == ("INT64", [2**53 + 1, -(2**63)])


def test_binary_and_json_inputs_go_together(server: Served) -> None:
    """A request may mix binary and JSON inputs; the binary outputs follow each other."""
    outputs = [
        binary({"name": "a", "datatype": "INT64", "shape": [1, 1]}, 8),
        binary({"name": "b", "datatype": "BYTES", "shape": [1, 1]}, 5),
    ]
    expected = b"\1\0\0\0\0\0\0\0" + b"\1\0\0\0x"
    assert parts(replay(server, "two inputs")) == ({**NAMED, "outputs": outputs}, expected)


def test_the_classes_of_an_output_are_value_and_place(server: Served) -> None:
    """With `class_count`, each class is `value:index`, the largest first, as in Triton."""
    output = {"name": "output-0", "datatype": "BYTES", "shape": [1, 1]}
    content = b"\5\0\0\0" + b"2.0:1"
    assert parts(replay(server, "class_count")) == (
        {**NAMED, "outputs": [binary(output, 9)]},
        content,
    )


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("timeout", 504, "no answer within 1e-06 s, the timeout of the request"),
        ("sequence", 400, "expected no parameters.sequence_id: sequences are not supported"),
        ("other version", 404, "model 'm x' has version '1' here, not '2'"),
        ("method", 400, "output 'predict_proba': expected one of output-0, output-1"),
        (
            "load",
            403,
            "loading a model by request is off: expected PREPACKAGED_REPOSITORY_API=true",
        ),
        (
            "unload",
            403,
            "loading a model by request is off: expected PREPACKAGED_REPOSITORY_API=true",
        ),
    ],
)
def test_a_refusal_is_an_object_with_the_error(
    server: Served, name: str, status: int, text: str
) -> None:
    """A refusal is JSON with `error`, which every client reads."""
    answer = replay(server, name)
    assert (answer.status, json.loads(answer.body)) == (status, {"error": text})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("live", {"live": True}),
        ("ready", {"ready": True}),
        ("aio ready", {"ready": True}),
        ("model ready", {"name": MODEL, "ready": True}),
        (
            "index",
            [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}],
        ),
    ],
)
def test_health_and_the_index_answer_without_a_body(server: Served, name: str, body: Any) -> None:
    """Health and index requests are answered with JSON, as the clients expect."""
    answer = replay(server, name)
    assert (answer.status, json.loads(answer.body)) == (200, body)


@pytest.mark.parametrize("name", ["metadata", "aio metadata", "config"])
def test_metadata_is_never_compressed(server: Served, name: str) -> None:
    """Metadata is never compressed: the aio client offers codings but cannot decode them there."""
    answer = replay(server, name)
    assert json.loads(answer.body)["name"] == MODEL
    assert "content-encoding" not in answer.headers


def test_an_output_of_a_methods_name_is_that_methods_answer() -> None:
    """An output named after a method is its result, also among others, over REST and gRPC."""
    with serve(Methods(), model_name=MODEL) as served:
        (output,) = parts(replay(served, "method"))[0]["outputs"]
        assert output == {**FP32, "name": "predict_proba", "data": [0.25, 1.0]}
        request = CLASSES["ModelInferRequest"].FromString(recorded()["grpc raw"])
        for name in ("predict_proba", "predict", "output-0"):
            request.outputs.add(name=name)
        message = infer_message(served, request.SerializeToString())
        assert [output.name for output in message.outputs] == [
            "predict_proba",
            "predict",
            "output-0",
        ]
        half, one = (np.array(row, "<f4").tobytes() for row in ([0.25, 1.0], ROW))
        assert list(message.raw_output_contents) == [half, one, one]


def test_a_raw_message_is_answered_raw(server: Served) -> None:
    """A request with raw contents gets raw contents, the only ones that its client reads."""
    message = infer(server, "grpc raw")
    assert (message.model_name, message.model_version, message.id) == (MODEL, "1", "r")
    (output,) = message.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("output-0", "FP32", [1, 2])
    assert not output.HasField("contents")
    assert list(message.raw_output_contents) == [ROW_BYTES]


def test_a_typed_message_is_answered_typed(server: Served) -> None:
    """A request with typed contents gets typed contents, the only ones that its client reads."""
    message = infer(server, "grpc typed")
    (output,) = message.outputs
    assert (output.datatype, list(output.shape)) == ("INT8", [2])
    assert list(output.contents.int_contents) == [-128, 127]
    assert not message.raw_output_contents


def test_a_typed_message_whose_answer_has_no_typed_field_is_answered_raw() -> None:
    """FP16 has no typed field, so it is answered in raw contents."""
    with serve(Halves(), model_name=MODEL) as served:
        message = infer(served, "grpc typed")
    assert message.outputs[0].datatype == "FP16"
    assert list(message.raw_output_contents) == [np.array([-128, 127], "<f2").tobytes()]


def test_other_messages_over_grpc(server: Served) -> None:
    """An empty tensor, a timeout that does not expire and a requested output name work."""
    assert list(infer(server, "grpc empty").raw_output_contents) == [b""]
    assert list(infer(server, "grpc timeout").raw_output_contents) == [ROW_BYTES]
    assert infer(server, "grpc output").outputs[0].name == "output-1"


def test_typed_columns_are_a_table(server: Served) -> None:
    """Columns with MLServer's content types form a table; a model without a signature gets rows."""
    message = infer(server, "grpc columns")
    (output,) = message.outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [2, 2])
    assert list(output.contents.bytes_contents) == [b"0.5", b"clerk", b"2.0", b"smith"]
