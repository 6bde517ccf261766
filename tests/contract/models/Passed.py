"""A Model that is given payloads as they came, and gives answers that are sent as they are."""

from typing import Any

from google.protobuf.message import Message


class Passed:
    """Tells what it was given; does what the payload says."""

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
