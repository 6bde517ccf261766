"""Calls the server at the first argument with tritonclient over REST."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tritonclient.http as triton
from samples import DATATYPES, MODEL, TEXTS, outcome, report
from tritonclient.utils import InferenceServerException

CLIENT = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))


def echoed(values: Any, datatype: str, *, is_binary: bool, **how: Any) -> Any:
    """Send a tensor, binary or JSON in both directions, and return the answer."""
    tensor = triton.InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=is_binary)
    wanted = [triton.InferRequestedOutput("output-0", binary_data=is_binary)]
    return CLIENT.infer(MODEL, [tensor], outputs=wanted, **how).as_numpy("output-0")


def refusal(call: Callable[[], Any]) -> str:
    """The status and message of the client's error."""
    try:
        call()
    except InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    return "no error"


def compressed(coding: str) -> Any:
    """Send a tensor compressed, and return the compressed answer."""
    how = {f"{way}_compression_algorithm": coding for way in ("request", "response")}
    return echoed(np.zeros((1, 5000)), "FP64", is_binary=True, **how)


def outcomes() -> Iterator[tuple[str, Any]]:
    """Yield every case with its outcome."""
    for name, values in DATATYPES.items():
        yield (
            f"binary {name}",
            outcome(values, lambda v=values, n=name: echoed(v, n, is_binary=True)),
        )
        texts = TEXTS if name == "BYTES" else values
        if name != "FP16":  # the client cannot write it as JSON
            yield (
                f"json {name}",
                outcome(texts, lambda v=texts, n=name: echoed(v, n, is_binary=False)),
            )
    for coding in ("gzip", "deflate"):
        yield coding, outcome(np.zeros((1, 5000)), lambda c=coding: compressed(c))
    one = np.array([[1.0]])
    yield "live", CLIENT.is_server_live()
    yield "ready", CLIENT.is_server_ready()
    yield "model ready", CLIENT.is_model_ready(MODEL)
    yield "other model ready", CLIENT.is_model_ready("other")
    yield "metadata", CLIENT.get_model_metadata(MODEL)["name"]
    yield "config", CLIENT.get_model_config(MODEL)["name"]
    yield "index", [each["state"] for each in CLIENT.get_model_repository_index()]
    yield "load", refusal(lambda: CLIENT.load_model(MODEL))
    yield "sequence", refusal(lambda: echoed(one, "FP64", is_binary=True, sequence_id=1))
    yield "other", refusal(lambda: CLIENT.get_model_metadata("other"))
    yield "version", refusal(lambda: echoed(one, "FP64", is_binary=False, model_version="7"))


report(dict(outcomes()))
