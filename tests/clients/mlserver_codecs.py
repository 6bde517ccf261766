"""Sends values with MLServer's codecs to a server's address; run in MLServer's environment."""

import json
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from mlserver.codecs import (
    Base64Codec,
    DatetimeCodec,
    NumpyCodec,
    NumpyRequestCodec,
    StringCodec,
    StringRequestCodec,
)
from mlserver.types import InferenceRequest, InferenceResponse, Parameters, RequestOutput

URL = sys.argv[1]


def infer(request: Any) -> Any:
    """The server's response, as MLServer's own type."""
    body = request.model_dump_json(exclude_none=True).encode()
    asked = Request(f"{URL}/v2/models/m%20x/infer", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as response:
        return InferenceResponse(**json.load(response))


def only(request: Any, codec: Any) -> list[Any]:
    """The only output, decoded."""
    (output,) = infer(request).outputs
    return list(codec.decode_output(output))


ARRAY = np.array([[1.5, -2.0, 3.25]])
TEXTS = ["good", "中文"]
BYTES = [b"\xff\x00", b"cat"]
MOMENTS = [datetime(2024, 2, 29, 12, 30, tzinfo=UTC)]

decoded = NumpyRequestCodec.decode_response(infer(NumpyRequestCodec.encode_request(ARRAY)))
asked = RequestOutput(name="output-0", parameters=Parameters(content_type="base64"))
base64 = InferenceRequest(inputs=[Base64Codec.encode_input("x", BYTES)], outputs=[asked])
moments = InferenceRequest(inputs=[DatetimeCodec.encode_input("x", MOMENTS)])
strings = InferenceRequest(inputs=[StringCodec.encode_input("x", TEXTS)])
numbers = InferenceRequest(inputs=[NumpyCodec.encode_input("x", ARRAY.astype(np.float32))])
print(
    json.dumps(
        {
            "numpy request": decoded.tolist() == ARRAY.tolist(),
            "numpy": np.array(only(numbers, NumpyCodec)).tolist() == ARRAY.tolist(),
            "string request": only(StringRequestCodec.encode_request(TEXTS), StringCodec) == TEXTS,
            "string": only(strings, StringCodec) == TEXTS,
            "base64": only(base64, Base64Codec) == BYTES,
            "datetime": only(moments, StringCodec),
        }
    )
)
