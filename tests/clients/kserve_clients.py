"""Calls our server with KServe's clients: REST at the first argument, gRPC at the second."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from samples import DATATYPES, MODEL, TEXTS, outcome, report

URL, GRPC = sys.argv[1:]


def request(values: Any, datatype: str, *, is_binary: bool) -> InferRequest:
    """A request with one tensor."""
    tensor = InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=is_binary)
    return InferRequest(MODEL, [tensor], request_id="r")


async def echoed(ask: Callable[[InferRequest], Awaitable[Any]], values: Any, sent: Any) -> str:
    """Send a request and return its outcome."""
    try:
        answer = await ask(sent)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return outcome(values, answer.outputs[0].as_numpy)


async def outcomes() -> dict[str, Any]:
    """Run every case and return its outcome."""
    found: dict[str, Any] = {}
    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    async with rest, InferenceGRPCClient(GRPC) as grpc:
        for name, values in DATATYPES.items():
            for kind in ("json", "binary"):
                if name == "FP16" and kind == "json":  # the client cannot write it
                    continue
                chosen = TEXTS if name == "BYTES" else values
                sent = request(chosen, name, is_binary=kind == "binary")

                async def over_rest(sent: InferRequest) -> Any:
                    return await rest.infer(URL, sent, model_name=MODEL)

                found[f"{kind} {name}"] = await echoed(over_rest, chosen, sent)
                if kind == "binary":
                    found[f"grpc {name}"] = await echoed(grpc.infer, chosen, sent)
        found["live"] = await rest.is_server_live(URL)
        found["ready"] = await rest.is_server_ready(URL)
        found["model ready"] = await rest.is_model_ready(URL, MODEL)
        found["grpc ready"] = await grpc.is_server_ready()
        found["grpc model ready"] = await grpc.is_model_ready(MODEL)
        try:
            await rest.infer(URL, {"inputs": []}, model_name=MODEL)
        except Exception as error:
            found["refused"] = str(error).partition(",")[0]
    return found


report(asyncio.run(outcomes()))
