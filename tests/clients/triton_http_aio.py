"""Calls the server at the first argument with tritonclient's asyncio client over REST."""

import asyncio
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from samples import DATATYPES, MODEL, elements, report


async def outcomes() -> dict[str, Any]:
    """Run every case and return its outcome."""
    async with triton_aio.InferenceServerClient(sys.argv[1].removeprefix("http://")) as client:
        found: dict[str, Any] = {}
        for is_binary in (True, False):
            values = np.tile(DATATYPES["FP32"], (2000, 1))
            tensor = triton.InferInput("x", list(values.shape), "FP32")
            tensor.set_data_from_numpy(values, binary_data=is_binary)
            wanted = [triton.InferRequestedOutput("output-0", binary_data=is_binary)]
            got = (await client.infer(MODEL, [tensor], outputs=wanted)).as_numpy("output-0")
            kind = "binary" if is_binary else "json"
            found[f"{kind} FP32"] = list(elements(got)) == list(elements(values))
        found["ready"] = await client.is_server_ready()
        found["metadata"] = (await client.get_model_metadata(MODEL))["name"]
        return found


report(asyncio.run(outcomes()))
