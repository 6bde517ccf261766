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
    """Has only raw hooks, which take precedence over the others."""

    def predict_raw(self, msg: Any) -> Any:
        """Return an answer; the message may set its status."""
        if isinstance(msg, dict) and "status" in msg:
            return {"status": msg["status"], "strData": "as told"}
        return _answer("predict", msg)

    def transform_input_raw(self, msg: Any) -> Any:
        """Return an answer with the method and the message."""
        return _answer("transform_input", msg)

    def transform_output_raw(self, msg: Any) -> Any:
        """Return an answer with the method and the message."""
        return _answer("transform_output", msg)

    def route_raw(self, msg: Any) -> Any:
        """Return an answer with the method and the message."""
        return _answer("route", msg)

    def aggregate_raw(self, msgs: Any) -> Any:
        """Return an answer with the method and the messages."""
        return _answer("aggregate", msgs)

    def send_feedback_raw(self, feedback: Any) -> Any:
        """Return an answer with the method and the feedback, which is always protobuf."""
        return _answer("send_feedback", feedback)

    def health_status_raw(self) -> Any:
        """Return a message as JSON."""
        return {"strData": "raw and well"}
