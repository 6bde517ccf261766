"""The cost of a request grows at most in proportion to its size."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from growth import MOST, growth
from seldon_core.proto import prediction_pb2
from seldon_core.proto.tensorflow.core.framework.tensor_pb2 import TensorProto

from prepackaged import ClientError
from prepackaged.server.protocols.seldon import protobuf_codec
from prepackaged.server.protocols.seldon.json_codec import decode
from prepackaged.server.protocols.seldon.json_reader import read_prediction

ROWS = [[1.0] * 100] * 20  # large enough that the body is read as a large one
HUGE = 10**18 + 7

JSON: dict[str, Callable[[int], Any]] = {
    "members beside data": lambda size: {**members(size), "data": {"ndarray": ROWS}},
    "members of data": lambda size: {"data": {**members(size), "ndarray": ROWS}},
    "members of tensor": lambda size: {"data": {"tensor": {**members(size), "values": [1] * 4000}}},
    "tags": lambda size: {"meta": {"tags": members(size)}, "data": {"ndarray": ROWS}},
    "names": lambda size: {"data": {"names": list(members(size)), "ndarray": ROWS}},
    "empty lists": lambda size: {"data": {"ndarray": [[]] * size}},
    "lists in lists": lambda size: {"data": {"ndarray": [[[[1, "a"]]]] * size}},
    "a shape": lambda size: {"data": {"tensor": {"shape": [HUGE] * size, "values": [1] * 4000}}},
}
DATA: dict[str, Callable[[int], Any]] = {
    "a shape": lambda size: {"tensor": {"shape": [2**31 - 1] * size, "values": [1.0]}},
    "names": lambda size: {"names": list(members(size))},
    "a shape of TensorFlow's": lambda size: {"tftensor": tftensor(size)},
}


def members(size: int) -> dict[str, int]:
    """Return an object with this many members."""
    return {f"k{number}": number for number in range(size)}


def tftensor(size: int) -> TensorProto:
    """Return a tensor with this many dimensions."""
    tensor = TensorProto(dtype=1, float_val=[1.0])
    for _ in range(size):
        tensor.tensor_shape.dim.add(size=HUGE)
    return tensor


def read_json(body: bytes) -> None:
    """Read a JSON message, valid or not."""
    with suppress(ClientError):
        decode(read_prediction(body))


def read_protobuf(body: bytes) -> None:
    """Read a protobuf message, valid or not."""
    with suppress(ClientError):
        protobuf_codec.decode(prediction_pb2.SeldonMessage.FromString(body))


@pytest.mark.parametrize("part", JSON)
def test_json_costs_in_proportion_to_its_size(part: str) -> None:
    """JSON requests with many members, names, lists or dimensions take linear time."""
    assert growth(read_json, lambda size: json.dumps(JSON[part](size)).encode(), 2500) < MOST


@pytest.mark.parametrize("part", DATA)
def test_protobuf_costs_in_proportion_to_its_size(part: str) -> None:
    """Protobuf requests with many names or dimensions take linear time."""

    def message(size: int) -> bytes:
        data = prediction_pb2.DefaultData(**DATA[part](size))
        return bytes(prediction_pb2.SeldonMessage(data=data).SerializeToString())

    assert growth(read_protobuf, message, 2500) < MOST
