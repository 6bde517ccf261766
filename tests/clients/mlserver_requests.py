"""Sends requests in MLServer's own types."""

import json
from typing import Any
from urllib.request import Request, urlopen

from mlserver.types import InferenceResponse


def infer(url: str, model: str, request: Any) -> Any:
    """The server's response; `model` is the model's name, encoded for a path."""
    body = request.model_dump_json(exclude_none=True).encode()
    asked = Request(f"{url}/v2/models/{model}/infer", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as response:
        return InferenceResponse(**json.load(response))
