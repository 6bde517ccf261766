"""Helpers for tests of the Open Inference Protocol: a model, and requests of every kind."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import requests

from prepackaged.component import Component
from prepackaged.errors import ClientError
from prepackaged.server.protocols.v2.descriptors import CLASSES, SERVICE
from prepackaged.testing import Served, serve

INFER = "/v2/models/model/infer"
ROW = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}
FP64_ROW = {"name": "x", "datatype": "FP64", "shape": [1, 1]}


class Echo(Component):
    """Returns its input; fails for [[13]], and raises ClientError for [[14]]."""

    batchable = True
    platform = "echo"

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        if np.array_equal(X, [[13]]):
            raise RuntimeError("it is thirteen")
        if np.array_equal(X, [[14]]):
            raise ClientError("fourteen is nothing to ask")
        return X

    def tags(self) -> dict[str, Any]:
        return {"mood": "fine"}


@contextmanager
def serve_echo(**settings: Any) -> Iterator[Served]:
    """Serve a loaded Echo."""
    model = Echo()
    model.load()
    with serve(model, **settings) as served:
        yield served


def ask(server: Served, method: str, path: str, **how: Any) -> tuple[int, Any]:
    """Send a request and return status and JSON; the content type must be exactly JSON's."""
    answer = requests.request(method, server.url + path, timeout=60, **how)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json()


def infer(server: Served, body: Any, **how: Any) -> tuple[int, Any]:
    """Send an inference request and return status and JSON."""
    return ask(server, "POST", INFER, data=json.dumps(body), **how)


def call(server: Served, method: str, **fields: Any) -> Any:
    """Make a gRPC call and return the response."""
    with grpc.insecure_channel(server.grpc) as channel:
        unary = channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=CLASSES[f"{method}Request"].SerializeToString,
            response_deserializer=CLASSES[f"{method}Response"].FromString,
        )
        return unary(CLASSES[f"{method}Request"](**fields), timeout=60)
