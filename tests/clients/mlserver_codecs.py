"""Sends values with MLServer's codecs to a server's address; run in MLServer's environment."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np
from mlserver.codecs import (
    Base64Codec,
    DatetimeCodec,
    NumpyCodec,
    NumpyRequestCodec,
    StringCodec,
    StringRequestCodec,
)
from mlserver.types import InferenceRequest, Parameters, RequestOutput
from mlserver_requests import infer

URL = sys.argv[1]
MODEL = "m%20x"


def only(request: Any, codec: Any) -> list[Any]:
    """The only output, decoded."""
    (output,) = infer(URL, MODEL, request).outputs
    return list(codec.decode_output(output))


ARRAY = np.array([[1.5, -2.0, 3.25]])
TEXTS = ["good", "中文"]
BYTES = [b"\xff\x00", b"cat"]
MOMENTS = [datetime(2024, 2, 29, 12, 30, tzinfo=UTC)]

response = infer(URL, MODEL, NumpyRequestCodec.encode_request(ARRAY))
decoded = NumpyRequestCodec.decode_response(response)
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
