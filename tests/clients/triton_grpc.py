"""Calls the server at the second argument with tritonclient over gRPC."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from samples import DATATYPES, MODEL, outcome, report
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

CLIENT = triton.InferenceServerClient(sys.argv[2])
STUB = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(sys.argv[2]))
FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "UINT64": "uint64_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def raw(values: Any, datatype: str) -> Any:
    """Send a tensor in raw_input_contents and return the answer."""
    tensor = triton.InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values)
    return CLIENT.infer(MODEL, [tensor]).as_numpy("output-0")


def typed(values: Any, datatype: str) -> Any:
    """Send a tensor in contents with the generated stub, and return the answer."""
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    tensor = request.inputs.add(name="x", datatype=datatype, shape=values.shape)
    getattr(tensor.contents, FIELDS[datatype]).extend(values.ravel().tolist())
    (output,) = STUB.ModelInfer(request, timeout=60).outputs
    contents = list(getattr(output.contents, FIELDS[output.datatype]))
    return np.array(contents, values.dtype).reshape(list(output.shape))


def refusal(call: Callable[[], Any]) -> str:
    """The status and message of the client's error."""
    try:
        call()
    except InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    return "no error"


def outcomes() -> Iterator[tuple[str, Any]]:
    """Yield every case with its outcome."""
    for name, values in DATATYPES.items():
        yield f"raw {name}", outcome(values, lambda v=values, n=name: raw(v, n))
        if name in FIELDS:
            yield f"typed {name}", outcome(values, lambda v=values, n=name: typed(v, n))
    yield "live", CLIENT.is_server_live()
    yield "ready", CLIENT.is_server_ready()
    yield "model ready", CLIENT.is_model_ready(MODEL)
    yield "other model ready", CLIENT.is_model_ready("other")
    yield "metadata", CLIENT.get_model_metadata(MODEL).name
    yield "index", [each.state for each in CLIENT.get_model_repository_index().models]
    yield "load", refusal(lambda: CLIENT.load_model(MODEL))
    yield "statistics", refusal(CLIENT.get_inference_statistics)
    yield "other", refusal(lambda: CLIENT.get_model_metadata("other"))


report(dict(outcomes()))
