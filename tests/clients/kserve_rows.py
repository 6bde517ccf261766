"""Sends the rows in a file, the third argument, with KServe's REST and gRPC clients."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from samples import report

URL, GRPC, ROWS = sys.argv[1:]
MODEL = "model"


def request(*, is_binary: bool) -> InferRequest:
    """A request with the rows as float32."""
    values = np.array(json.loads(Path(ROWS).read_text()), np.float32)
    tensor = InferInput("x", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=is_binary)
    return InferRequest(MODEL, [tensor], request_id="r")


async def answers() -> dict[str, Any]:
    """The first output for each way to send the rows."""
    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    async with rest, InferenceGRPCClient(GRPC) as grpc:
        responses = {
            "json": await rest.infer(URL, request(is_binary=False), model_name=MODEL),
            "binary": await rest.infer(URL, request(is_binary=True), model_name=MODEL),
            "grpc": await grpc.infer(request(is_binary=True)),
        }
    return {name: each.outputs[0].as_numpy().tolist() for name, each in responses.items()}


report(asyncio.run(answers()))
