"""Clients that send requests without a pause, in the ways of the platforms' engines."""

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

PREDICT = "/predict"  # the path that engines use

Count = Callable[[], None]
Client = Callable[[Container, Sample, Count], None]


def keep_connection(container: Container, sample: Sample, count: Count) -> None:
    """Send requests on one connection until an answer has `Connection: close`."""
    request = post(json.dumps(sample.ndarray).encode(), PREDICT)
    with connected(container.url) as connection:
        is_last = False
        while not is_last:
            answer = connection.ask(request)
            assert answer.status == 200
            count()
            is_last = answer.headers.get("connection") == "close"


def call(container: Container, sample: Sample, count: Count) -> None:
    """Make gRPC calls until one is refused, which must be UNAVAILABLE."""
    message = ParseDict(sample.ndarray, prediction_pb2.SeldonMessage())
    with grpc.insecure_channel(container.grpc) as channel:
        predict = prediction_pb2_grpc.ModelStub(channel).Predict
        while (calling := predict.future(message, timeout=SECONDS)).code() == grpc.StatusCode.OK:
            count()
    assert calling.code() == grpc.StatusCode.UNAVAILABLE


def connect_anew(container: Container, sample: Sample, until: Future[Any]) -> int:
    """Send each request on a new connection until `until` is done; return the number of answers."""
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
    """Run each client in a thread, and count its answers.

    At the end of the block, killing the container ends the clients; their errors are raised.
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
            container.kill()  # in case the block failed before it ended the container
            for each in asking:
                each.result()
