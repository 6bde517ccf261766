"""A Model that takes whole messages over gRPC, and values over REST."""

from typing import Any

from seldon_core.proto import prediction_pb2


class RawGrpc:
    """Answers with the name of the hook that ran."""

    def predict_grpc(self, msg: Any) -> Any:
        return prediction_pb2.SeldonMessage(strData="grpc", meta=msg.meta)

    def predict(self, X: Any, names: Any, meta: Any = None) -> str:
        return "values"
