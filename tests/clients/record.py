"""Record what tritonclient sends, byte for byte, for tests/server/test_v2_recorded.py.

    .envs/clients/bin/python tests/clients/record.py

HTTP requests go to a socket that records them; gRPC messages are recorded as the client
serializes them. Bytes are stored as Latin-1 characters.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import _get_inference_request

RECORDED = Path(__file__).parents[1] / "server/recorded/tritonclient.json"
MODEL = "m x"
REPLY = b'{"model_name":"m x","outputs":[]}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Recorder:
    """A server that records each request and always gives the same answer."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("localhost", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._record, args=[connection], daemon=True).start()

    def _record(self, connection: socket.socket) -> None:
        received = b""
        while part := connection.recv(2**16):
            received += part
            head, end, body = received.partition(b"\r\n\r\n")
            if end and len(body) >= content_length(head):
                self.requests.append(received.replace(self.address.encode(), b"localhost"))
                received = b""
                connection.sendall(RESPONSE % (len(REPLY), REPLY))


def content_length(head: bytes) -> int:
    """The Content-Length in a header block."""
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(fields.get(b"content-length", 0))


def tensor(module: Any, name: str, datatype: str, values: Any, **how: Any) -> Any:
    """An input with these values."""
    array = np.array(values, np.object_ if datatype == "BYTES" else None)
    if datatype != "BYTES":
        array = array.astype(triton.triton_to_np_dtype(datatype))
    made = module.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, **how)
    return made


def rows(**how: Any) -> list[Any]:
    """The input of most requests."""
    return [tensor(triton, "x", "FP32", [[0.5, 2.0]], **how)]


def asked(name: str, **how: Any) -> list[Any]:
    """The requested output."""
    return [triton.InferRequestedOutput(name, **how)]


Case = Callable[[Any], Any]
JSON = {"binary_data": False}
HTTP: dict[str, Case] = {
    "json": lambda c: c.infer(MODEL, rows(**JSON), outputs=asked("output-0", **JSON)),
    "json, outputs not listed": lambda c: c.infer(MODEL, rows(**JSON)),
    "binary": lambda c: c.infer(MODEL, rows(), outputs=asked("output-0")),
    "binary in, json out": lambda c: c.infer(MODEL, rows(), outputs=asked("output-0", **JSON)),
    "empty": lambda c: c.infer(MODEL, [tensor(triton, "x", "FP32", np.zeros((0, 4)))]),
    "gzip": lambda c: c.infer(MODEL, rows(), request_compression_algorithm="gzip"),
    "deflate": lambda c: c.infer(MODEL, rows(), request_compression_algorithm="deflate"),
    "id": lambda c: c.infer(MODEL, rows(**JSON), request_id="caf\u00e9 \U0001f600"),
    "timeout": lambda c: c.infer(MODEL, rows(**JSON), timeout=1),
    "sequence": lambda c: c.infer(MODEL, rows(**JSON), sequence_id=7, sequence_start=True),
    "version": lambda c: c.infer(MODEL, rows(**JSON), model_version="1"),
    "other version": lambda c: c.infer(MODEL, rows(**JSON), model_version="2"),
    "class_count": lambda c: c.infer(MODEL, rows(), outputs=asked("output-0", class_count=1)),
    "method": lambda c: c.infer(MODEL, rows(), outputs=asked("predict_proba", **JSON)),
    "bytes": lambda c: c.infer(MODEL, [tensor(triton, "x", "BYTES", [b"a\0b", b"", b"\xff"])]),
    "text": lambda c: c.infer(
        MODEL,
        [tensor(triton, "x", "BYTES", ["caf\u00e9", ""], **JSON)],
        outputs=asked("output-0", **JSON),
    ),
    "integers": lambda c: c.infer(
        MODEL,
        [tensor(triton, "x", "INT64", [2**53 + 1, -(2**63)], **JSON)],
        outputs=asked("output-0", **JSON),
    ),
    "two inputs": lambda c: c.infer(
        MODEL,
        [
            tensor(triton, "a", "INT64", [[1]]),
            tensor(triton, "b", "BYTES", [["x"]], **JSON),
        ],
    ),
    "live": lambda c: c.is_server_live(),
    "ready": lambda c: c.is_server_ready(),
    "model ready": lambda c: c.is_model_ready(MODEL),
    "metadata": lambda c: c.get_model_metadata(MODEL),
    "config": lambda c: c.get_model_config(MODEL),
    "index": lambda c: c.get_model_repository_index(),
    "load": lambda c: c.load_model(MODEL),
    "unload": lambda c: c.unload_model(MODEL),
}
AIO: dict[str, Case] = {
    "aio json": HTTP["json"],
    "aio binary": HTTP["binary"],
    "aio metadata": HTTP["metadata"],
    "aio ready": HTTP["ready"],
}
GRPC: dict[str, dict[str, Any]] = {
    "grpc raw": {"inputs": [tensor(triton_grpc, "x", "FP32", [[0.5, 2.0]])]},
    "grpc bytes": {"inputs": [tensor(triton_grpc, "x", "BYTES", [b"a\0b", b"", b"\xff"])]},
    "grpc empty": {"inputs": [tensor(triton_grpc, "x", "FP32", np.zeros((0, 4)))]},
    "grpc timeout": {
        "inputs": [tensor(triton_grpc, "x", "FP32", [[0.5, 2.0]])],
        "timeout": 5_000_000,
    },
    "grpc output": {
        "inputs": [tensor(triton_grpc, "x", "FP32", [[0.5, 2.0]])],
        "outputs": [triton_grpc.InferRequestedOutput("output-1")],
    },
}


def message_of(**how: Any) -> bytes:
    """A request as tritonclient's gRPC client serializes it."""
    usual = {
        "model_name": MODEL, "model_version": "", "request_id": "r", "outputs": None,
        "sequence_id": 0, "sequence_start": False, "sequence_end": False, "priority": 0,
        "timeout": None, "parameters": None,
    }  # fmt: skip
    return bytes(_get_inference_request(**{**usual, **how}).SerializeToString())


def typed() -> dict[str, bytes]:
    """Requests with typed contents, as clients generated from the .proto file send them."""
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    column = request.inputs.add(name="age", datatype="FP32", shape=[2, 1])
    column.contents.fp32_contents.extend([0.5, 2])
    text = request.inputs.add(name="job", datatype="BYTES", shape=[2])
    text.contents.bytes_contents.extend([b"clerk", b"smith"])
    text.parameters["content_type"].string_param = "str"
    request.parameters["content_type"].string_param = "pd"
    one = service_pb2.ModelInferRequest(model_name=MODEL)
    one.inputs.add(name="x", datatype="INT8", shape=[2]).contents.int_contents.extend([-128, 127])
    return {"grpc typed": one.SerializeToString(), "grpc columns": request.SerializeToString()}


async def record_aio(address: str, requests: list[bytes]) -> dict[str, bytes]:
    """Record what the asyncio client sends."""
    noted = {}
    async with triton_aio.InferenceServerClient(address) as client:
        for name, call in AIO.items():
            await call(client)
            noted[name] = requests[-1]
    return noted


def main() -> None:
    """Record everything."""
    recorder = Recorder()
    client, noted = triton.InferenceServerClient(recorder.address), {}
    for name, call in HTTP.items():
        call(client)
        noted[name] = recorder.requests[-1]
    noted |= asyncio.run(record_aio(recorder.address, recorder.requests))
    noted |= {name: message_of(**how) for name, how in GRPC.items()} | typed()
    shown = {name: content.decode("latin-1") for name, content in noted.items()}
    RECORDED.write_text(json.dumps(shown, indent=1) + "\n")


if __name__ == "__main__":
    main()
