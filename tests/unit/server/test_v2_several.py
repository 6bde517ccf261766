"""A request of the Open Inference Protocol that asks for several methods of the model."""

from types import SimpleNamespace
from typing import Any

import pytest

from prepackaged.server.inference.admission import OverloadedError
from prepackaged.server.inference.work import Work
from prepackaged.server.protocols.v2.requests import InferRequest
from prepackaged.server.protocols.v2.served import Several

METHODS = ["predict", "predict_proba"]


class Predictor:
    """Queues as many predictions as there is room for."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.works: list[Work] = []

    def predict(self, request: Any, done: Any) -> Work:
        if len(self.works) == self.room:
            raise OverloadedError("full", 1.0)
        self.works.append(Work(request, done))
        return self.works[-1]


class Exchange:
    """A request that may fail."""

    on_cancel = None
    rows = 1

    def __init__(self) -> None:
        self.failures: list[BaseException] = []

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)


def several(predictor: Predictor, exchange: Exchange) -> Several:
    """The predictions of two methods."""
    request = InferRequest([[1.0]], [])
    served: Any = SimpleNamespace(queue=predictor.predict)
    client: Any = exchange
    encode: Any = None  # nothing is answered here
    return Several(served, client, encode, request, METHODS)


def test_if_the_queue_has_no_room_for_one_method_none_is_computed() -> None:
    """The client gets the refusal, and the model does not work for nobody."""
    predictor = Predictor(room=1)

    with pytest.raises(OverloadedError):
        several(predictor, Exchange()).start()

    assert [work.is_wanted for work in predictor.works] == [False]


def test_if_one_method_fails_the_others_are_not_computed() -> None:
    """The first error is the answer."""
    predictor, exchange, error = Predictor(room=2), Exchange(), ValueError("no")
    several(predictor, exchange).start()

    predictor.works[0].done(error)

    assert exchange.failures == [error]
    assert not predictor.works[1].is_wanted
