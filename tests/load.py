"""Clients that ask as fast as they are answered, in the ways of the platforms' engines."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from containers import Container
from google.protobuf.json_format import ParseDict
from rawhttp import connected, post
from samples import Sample
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS

PREDICT = "/predict"  # where engines send predictions

Count = Callable[[], None]
Client = Callable[[Container, Sample, Count], None]


def keep_connection(container: Container, sample: Sample, count: Count) -> None:
    """Ask on one connection until an answer says that it is the last."""
    request = post(json.dumps(sample.ndarray).encode(), PREDICT)
    with connected(container.url) as connection:
        is_last = False
        while not is_last:
            answer = connection.ask(request)
            assert answer.status == 200
            count()
            is_last = answer.headers.get("connection") == "close"


def call(container: Container, sample: Sample, count: Count) -> None:
    """Call over gRPC until the server takes no more calls."""
    message = ParseDict(sample.ndarray, prediction_pb2.SeldonMessage())
    with grpc.insecure_channel(container.grpc) as channel:
        predict = prediction_pb2_grpc.ModelStub(channel).Predict
        while (calling := predict.future(message, timeout=SECONDS)).code() == grpc.StatusCode.OK:
            count()
    assert calling.code() == grpc.StatusCode.UNAVAILABLE


def connect_anew(container: Container, sample: Sample, until: Future[Any]) -> int:
    """Ask on a new connection each time, until something is done; how often it was answered."""
    request = post(json.dumps(sample.ndarray).encode(), PREDICT, "Connection: close")
    answered = 0
    while not until.done():
        with connected(container.url) as connection:
            assert connection.ask(request).status == 200
        answered += 1
    until.result()
    return answered


@contextmanager
def load(container: Container, sample: Sample, clients: tuple[Client, ...]) -> Iterator[list[int]]:
    """Clients, each in a thread of its own, and how many answers each has.

    The block ends the container, and with it the clients. What went wrong for one is raised.
    """
    answered = [0] * len(clients)

    def counter(place: int) -> Count:
        def count() -> None:
            answered[place] += 1

        return count

    with ThreadPoolExecutor(len(clients) + 1) as pool:
        asking = [
            pool.submit(client, container, sample, counter(place))
            for place, client in enumerate(clients)
        ]
        try:
            yield answered
        finally:
            container.kill()  # where the block failed before it came to that
            for each in asking:
                each.result()
