"""The sklearn server over gRPC."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import Server

ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


@pytest.fixture
def predict(iris_server: Server) -> Iterator[Any]:
    """Call Predict of Seldon's Model service."""
    with grpc.insecure_channel(iris_server.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        yield prediction_pb2_grpc.ModelStub(channel).Predict


def tensor(*shape: int, values: list[float]) -> prediction_pb2.SeldonMessage:
    """A request with this tensor."""
    data = prediction_pb2.DefaultData(tensor=prediction_pb2.Tensor(shape=shape, values=values))
    return prediction_pb2.SeldonMessage(data=data)


def test_a_tensor_is_answered_by_a_tensor(predict: Any, classifier: Any) -> None:
    """A tensor is answered by a tensor with the classifier's shape, names and values."""
    answer = predict(tensor(2, 4, values=[*ROWS[0], *ROWS[1]]), timeout=60).data

    assert list(answer.names) == ["0", "1", "2"]
    assert list(answer.tensor.shape) == [2, 3]
    assert list(answer.tensor.values) == classifier.predict_proba(ROWS).ravel().tolist()


def test_a_wrong_number_of_features_is_reported(predict: Any) -> None:
    """For a wrong number of features, gRPC returns a client error with the same message as REST."""
    with pytest.raises(grpc.RpcError) as caught:
        predict(tensor(1, 3, values=ROWS[0][:3]), timeout=60)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "expected rows of 4 values, got rows of 3" in caught.value.details()
