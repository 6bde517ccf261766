"""A Model that reads and writes whole messages: JSON over REST, protobuf over gRPC."""

from typing import Any

from seldon_core.proto import prediction_pb2
from seldon_core.user_model import SeldonComponent

METRIC = {"type": "COUNTER", "key": "raw", "value": 1}


def _answer(method: str, message: Any) -> Any:
    if isinstance(message, dict | list):
        return {"strData": method, "meta": {"tags": {"came": message}, "metrics": [{**METRIC}]}}
    answer = prediction_pb2.SeldonMessage(strData=method)
    answer.meta.tags["size"].number_value = message.ByteSize()
    answer.meta.metrics.add(key="raw", value=1)
    return answer


class Raw(SeldonComponent):  # type: ignore[misc]
    """Every hook in its raw form, which goes before the other."""

    def predict_raw(self, msg: Any) -> Any:
        """An answer whose status the message may choose."""
        if isinstance(msg, dict) and "status" in msg:
            return {"status": msg["status"], "strData": "as told"}
        return _answer("predict", msg)

    def transform_input_raw(self, msg: Any) -> Any:
        """The message, described."""
        return _answer("transform_input", msg)

    def transform_output_raw(self, msg: Any) -> Any:
        """The message, described."""
        return _answer("transform_output", msg)

    def route_raw(self, msg: Any) -> Any:
        """The message, described."""
        return _answer("route", msg)

    def aggregate_raw(self, msgs: Any) -> Any:
        """The messages, described."""
        return _answer("aggregate", msgs)

    def send_feedback_raw(self, feedback: Any) -> Any:
        """The feedback, which is always protobuf, described."""
        return _answer("send_feedback", feedback)

    def health_status_raw(self) -> Any:
        """A message as JSON."""
        return {"strData": "raw and well"}
