"""Errors of the Open Inference Protocol over REST."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from v2 import INFER, ROW, ask, infer, serve_echo

from prepackaged.testing import Served, serve


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server of a loaded Echo."""
    with serve_echo() as served:
        yield served


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"{", 400, ("Can't find JSON in data: Expecting property name enclosed in double quotes:"
         " line 1 column 2 (char 1)")),
        (b"", 400, "Can't find JSON in data: Expecting value: line 1 column 1 (char 0)"),
        (b"null", 400, "expected an object with inputs, got null or nothing"),
        (b'{"specversion": "1.0", "type": "t", "data": {"inputs": []}}', 415,
         ("expected an object with inputs, got a CloudEvent in structured mode; binary mode,"
         " with the headers ce-*, is accepted")),
        (b"[]", 400, "expected an object with inputs, got a list"),
        (b"{}", 400, "expected inputs as a list, got null or nothing"),
        (b'{"inputs": []}', 400, "expected at least one input, got none"),
        (b'{"data": {}}', 400, ("expected an object with inputs, got one with data, which is"
         " Seldon's protocol, which is at /api/v1.0/predictions")),
        (b'{"inputs": [1]}', 400, "expected inputs[0] as an object, got a number"),
        (b'{"inputs": [{}]}', 400, "expected inputs[0].name as a string, got null or nothing"),
        (b'{"inputs": [{"name": "x", "shape": [1]}]}', 400, ("input 'x': expected datatype as one"
         " of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32,"
         " FP64, BYTES, got null or nothing")),
        (b'{"inputs": [{"name": "x", "datatype": "FP32"}]}', 400,
         "input 'x': expected shape as a list of sizes, got null or nothing"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]}', 400,
         "input 'x': expected shape as whole numbers from 0, got [-1]"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": "1"}]}', 400,
         "input 'x': expected shape as a list of sizes, got a string"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}', 400,
         "input 'x': expected data as a list, got none"),
        (b'{"id": 1, "inputs": [{"name": "x", "datatype": "FP32", "shape": [0]}]}', 400,
         "expected id as a string, got a number"),
        (b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [13]}]}', 500,
         "it is thirteen"),
        (b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [14]}]}', 400,
         "fourteen is nothing to ask"),
    ],
)  # fmt: skip
def test_an_error_has_the_status_of_the_party_at_fault(
    server: Served, body: bytes, status: int, text: str
) -> None:
    """The client's mistakes get 400, the model's 500."""
    assert ask(server, "POST", INFER, data=body) == (status, {"error": text})


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"outputs": 1}, "expected outputs as a list, got a number"),
        ({"outputs": [1]}, "expected outputs[0] as an object, got a number"),
        ({"outputs": [{}]}, "expected outputs[0].name as a string, got null or nothing"),
        (
            {"outputs": [{"name": "output-0"}] * 2},
            "expected each output once, got 'output-0' twice",
        ),
        (
            {"outputs": [{"name": "output-0"}, {"name": "y"}]},
            "output 'y': expected one of output-0, output-1",
        ),
        ({"parameters": []}, "expected parameters as an object, got a list"),
        (
            {"parameters": {"timeout": "1"}},
            "expected parameters.timeout as a number of microseconds from 0, got '1'",
        ),
        (
            {"parameters": {"timeout": True}},
            "expected parameters.timeout as a number of microseconds from 0, got True",
        ),
        (
            {"outputs": [{"name": "output-0", "parameters": {"classification": -1}}]},
            "expected outputs[0].classification as a number of classes, got -1",
        ),
        (
            {"inputs": [{**ROW, "parameters": {"binary_data_size": 1.5}}]},
            (
                "expected input 'x' with parameters.binary_data_size as a whole number from 0,"
                " got 1.5"
            ),
        ),
        (
            {"parameters": {"binary_data_output": 1}},
            "expected parameters.binary_data_output as true or false, got 1",
        ),
        (
            {"parameters": {"content_type": "hf"}},
            (
                "expected parameters.content_type as one of np, pd, pd_json, str, base64,"
                " datetime, got 'hf'"
            ),
        ),
        (
            {"parameters": {"shared_memory_region": "r"}},
            (
                "parameters: expected the tensor in the request, got shared_memory_region;"
                " shared memory is not supported"
            ),
        ),
    ],
)
def test_the_other_members_of_a_request_are_checked(server: Served, more: Any, text: str) -> None:
    """Wrong outputs and parameters get 400 instead of being ignored."""
    assert infer(server, {"inputs": [ROW], **more}) == (400, {"error": text})


@pytest.mark.parametrize(
    ("size", "content", "text"),
    [
        (b"-1", b"", "expected Inference-Header-Content-Length as a number, got '-1'"),
        (b"x", b"", "expected Inference-Header-Content-Length as a number, got 'x'"),
        (b"9" * 30, b"", f"expected Inference-Header-Content-Length as a number, got '{'9' * 30}'"),
        (
            b"999",
            b"",
            "expected Inference-Header-Content-Length from 1 to 91, the body's length, got 999",
        ),
        (b"91", b"1234567", "input 'x': expected 8 bytes after the JSON, got 7"),
        (
            b"91",
            b"123456789",
            "expected 8 bytes after the JSON, as binary_data_size of the inputs says, got 9",
        ),
    ],
)
def test_binary_tensors_must_lie_where_the_request_says(
    server: Served, size: bytes, content: bytes, text: str
) -> None:
    """A wrong length of the JSON, or of the binary data after it, gets 400."""
    parameters = {"binary_data_size": 8}
    entry = {"name": "x", "datatype": "FP64", "shape": [1], "parameters": parameters}
    body = json.dumps({"inputs": [entry]}, separators=(",", ":")).encode()
    assert len(body) == 91
    headers = {"Inference-Header-Content-Length": size}
    answer = ask(server, "POST", INFER, data=body + content, headers=headers)
    assert answer == (400, {"error": text})


class Raw:
    """A model that reads Seldon's messages itself."""

    def predict_raw(self, message: Any) -> Any:
        return message


def test_a_model_with_raw_hooks_does_not_support_other_protocols() -> None:
    """A model with only predict_raw gets 501, since it speaks only Seldon's protocol."""
    with serve(Raw()) as served:
        assert infer(served, {"inputs": [ROW]}) == (
            501,
            {"error": "this model has no predict: it only supports Seldon's protocol"},
        )
