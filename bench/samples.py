"""Requests with expected answers, and the comparison of actual answers with these."""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from seldon_core.proto import prediction_pb2

from prepackaged.server.protocols.v2.descriptors import CLASSES

PREDICT = "/api/v1.0/predictions"
INFER = "/v2/models/model/infer"
GRPC_PREDICT = "/seldon.protos.Seldon/Predict"
GRPC_INFER = "/inference.GRPCInferenceService/ModelInfer"
GRPC_TIMEOUT = 20
JSON = "application/json"
JSON_SIZE = "Inference-Header-Content-Length"
MULTIPART = "multipart/form-data; boundary=image"
ID = "0"  # makes answers equal: without an id, MLServer and KServe generate one
SCORES = {"name": "predict_proba"}  # without this, MLServer returns classes
TOLERANCE = 1e-6  # the last digits depend on the batch


@dataclass(frozen=True)
class Sample:
    """A request, and the right answer to it as JSON.

    `infer` is the same request in the Open Inference Protocol, empty if there is none. If tensors
    follow its JSON, the JSON has `json_size` bytes.
    """

    body: bytes
    answer: dict[str, Any]
    content_type: str = JSON
    infer: bytes = b""
    json_size: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers."""
        more = {} if self.json_size is None else {JSON_SIZE: str(self.json_size)}
        return {"Content-Type": self.content_type, **more}


def of_rows(rows: Sequence[Sequence[float]], answer: Sequence[Sequence[float]]) -> Sample:
    """A sample with rows as an ndarray and as one input; the answer has rows."""
    names = [f"t:{column}" for column in range(len(answer[0]))]
    message = {"data": {"names": names, "ndarray": answer}, "meta": {}}
    shape, values = [len(rows), len(rows[0])], list(flat(list(rows)))
    tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": values}
    infer = {"id": ID, "inputs": [tensor], "outputs": [SCORES]}
    sent, inferred = (json.dumps(each).encode() for each in ({"data": {"ndarray": rows}}, infer))
    return Sample(sent, message, infer=inferred)


def of_tensor(tensor: Any, answer: Sequence[Sequence[float]], *, is_binary: bool) -> Sample:
    """A sample with a float32 array in the Open Inference Protocol; the answer is JSON."""
    about = {"name": "x", "shape": tensor.shape, "datatype": "FP32"}
    message = {"data": {"ndarray": answer}}
    if not is_binary:
        sent = json.dumps({"inputs": [about | {"data": tensor.ravel().tolist()}]}).encode()
        return Sample(b"", message, infer=sent)
    content = tensor.astype("<f4").tobytes()
    header = {"inputs": [about | {"parameters": {"binary_data_size": len(content)}}]}
    start = json.dumps(header).encode()
    return Sample(b"", message, "application/octet-stream", start + content, len(start))


def of_records(records: Sequence[Mapping[str, Any]], answer: Sequence[Sequence[float]]) -> Sample:
    """A sample with records as jsonData and as one input per column; the answer has rows."""
    message = {"data": {"ndarray": answer}}
    columns = [column(name, [record[name] for record in records]) for name in records[0]]
    infer = {
        "id": ID,
        "parameters": {"content_type": "pd"},
        "inputs": columns,
        "outputs": [SCORES],
    }
    sent, inferred = (json.dumps(each).encode() for each in ({"jsonData": records}, infer))
    return Sample(sent, message, infer=inferred)


def column(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """A column of text or numbers as an input of the Open Inference Protocol."""
    is_text = isinstance(values[0], str)
    kind = {"datatype": "BYTES", "parameters": {"content_type": "str"}}
    return {
        "name": name,
        "shape": [len(values), 1],
        "data": values,
        **(kind if is_text else {"datatype": "FP64"}),
    }


def of_image(image: bytes, *, is_multipart: bool) -> Sample:
    """A sample with an image; the answer is its size."""
    data = {"names": [], "tensor": {"shape": [1], "values": [len(image)]}}
    answer = {"data": data, "meta": {}}
    if not is_multipart:
        return Sample(json.dumps({"binData": base64.b64encode(image).decode()}).encode(), answer)
    head = b'--image\r\nContent-Disposition: form-data; name="binData"; filename="image"\r\n'
    kind = b"Content-Type: application/octet-stream\r\n\r\n"
    return Sample(head + kind + image + b"\r\n--image--\r\n", answer, MULTIPART)


def is_right(body: bytes, answer: dict[str, Any]) -> bool:
    """Return whether the body is JSON with the expected numbers."""
    try:
        found, expected = (list(numbers(message)) for message in (json.loads(body), answer))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return are_near(found, expected)


def are_near(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Return whether two lists of numbers have equal lengths and are equal within TOLERANCE."""
    if len(found) != len(expected):
        return False
    pairs = zip(found, expected, strict=True)
    return all(math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in pairs)


def numbers(message: dict[str, Any]) -> Iterator[float]:
    """The numbers in a message's data, row by row."""
    if "outputs" in message:
        yield from flat(message["outputs"][0]["data"])
        return
    if "jsonData" in message:
        yield from flat(message["jsonData"])
        return
    data = message["data"]
    yield from flat(data["tensor"]["values"] if "tensor" in data else data["ndarray"])


def flat(values: Any) -> Iterator[float]:
    """The numbers in nested lists."""
    if isinstance(values, list):
        for value in values:
            yield from flat(value)
    else:
        yield float(values)


def to_protobuf(rows: Sequence[Sequence[float]]) -> bytes:
    """A gRPC message of Seldon's protocol with these rows."""
    tensor = prediction_pb2.Tensor(shape=[len(rows), len(rows[0])], values=flat(list(rows)))
    message = prediction_pb2.SeldonMessage(data=prediction_pb2.DefaultData(tensor=tensor))
    return bytes(message.SerializeToString())


def to_infer_protobuf(rows: Sequence[Sequence[float]]) -> bytes:
    """A gRPC message of the Open Inference Protocol with these rows as a binary tensor."""
    message = CLASSES["ModelInferRequest"](model_name="model")
    message.inputs.add(name="x", datatype="FP64", shape=[len(rows), len(rows[0])])
    message.outputs.add(**SCORES)
    message.raw_input_contents.append(np.array(rows, "<f8").tobytes())
    return bytes(message.SerializeToString())


def grpc_answer(address: str, path: str, message: bytes) -> bytes:
    """Call the server over gRPC and return the undecoded response. Raises `grpc.RpcError`."""
    with grpc.insecure_channel(address) as channel:
        return bytes(channel.unary_unary(path, bytes, bytes)(message, timeout=GRPC_TIMEOUT))


def is_right_protobuf(path: str, body: bytes, answer: dict[str, Any]) -> bool:
    """Return whether the message has the expected numbers in a tensor."""
    if path == GRPC_INFER:
        contents = CLASSES["ModelInferResponse"].FromString(body).raw_output_contents
        found = np.frombuffer(b"".join(contents), "<f8").tolist()
    else:
        found = list(prediction_pb2.SeldonMessage.FromString(body).data.tensor.values)
    return are_near(found, list(numbers(answer)))
