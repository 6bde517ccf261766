"""A Model for PAYLOAD_PASSTHROUGH: it gets raw bodies and returns raw answers."""

from typing import Any

from google.protobuf.message import Message


class Passed:
    """Returns a description of its input; `fail` raises an error, and `object` returns a dict."""

    def predict_raw(self, msg: Any) -> Any:
        if isinstance(msg, Message):
            return msg
        if msg == b"fail":
            raise ValueError("the model is broken")
        if msg == b"object":
            return {"strData": "x"}
        return b"bytes: " + msg if isinstance(msg, bytes) else f"{type(msg).__name__}: {msg}"

    def transform_input(self, X: Any, names: Any) -> Any:
        return X
