"""Values of every datatype, and the comparison of answers with them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

MODEL = "m x"
DATATYPES: dict[str, Any] = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 2**8 - 1]], np.uint8),
    "UINT16": np.array([[0, 2**16 - 1]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-(2**7), 1]], np.int8),
    "INT16": np.array([[-(2**15), 1]], np.int16),
    "INT32": np.array([[-(2**31), 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**53 + 1]], np.int64),
    "FP16": np.array([[0.1, -2]], np.float16),
    "FP32": np.array([[0.1, np.nan]], np.float32),
    "FP64": np.array([[0.1, -1e300]]),
    "BYTES": np.array([[b"a\0b", b"", b"\xff\xfe"]], np.object_),
}
TEXTS = np.array([[b"caf\xc3\xa9", b"x"]], np.object_)


def outcome(sent: Any, ask: Callable[[], Any]) -> str:
    """`same` if the answer equals the values sent, else the answer or the error."""
    try:
        got = ask()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    is_same = got.shape == sent.shape and list(elements(got)) == list(elements(sent))
    return "same" if is_same and got.dtype == sent.dtype else repr(got)


def elements(array: Any) -> Iterator[Any]:
    """The values, with text as bytes and NaN as a text, so that they can be compared."""
    for value in array.ravel().tolist():
        yield value.encode() if isinstance(value, str) else "NaN" if value != value else value


def report(outcomes: dict[str, Any]) -> None:
    """Print the outcomes as JSON, which the test reads."""
    print(json.dumps(outcomes))
