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
from prepackaged.server.protocols.v2 import json_requests
from prepackaged.signature import Column
from prepackaged.tables import Columns

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


FP64 = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}
V2: dict[str, Callable[[int], Any]] = {
    "members beside inputs": lambda size: {**members(size), "inputs": [FP64]},
    "parameters": lambda size: {"parameters": members(size), "inputs": [FP64]},
    "parameters of an input": lambda size: {"inputs": [{**FP64, "parameters": members(size)}]},
    "inputs": lambda size: {"inputs": [{**FP64, "name": f"x{n}"} for n in range(size)]},
    "inputs of one name": lambda size: {"inputs": [FP64] * size},
    "a shape": lambda size: {"inputs": [{**FP64, "shape": [HUGE] * size}]},
    "outputs": lambda size: {"inputs": [FP64], "outputs": [{"name": f"y{n}"} for n in range(size)]},
    "texts": lambda size: {"inputs": [{**FP64, "datatype": "BYTES", "data": ["a"] * size}]},
    "lists in lists": lambda size: {"inputs": [{**FP64, "data": [[[1, "a"]]] * size}]},
}
COLUMNS = Columns.of([Column("age", "float64"), Column("city", "text"), Column("visits", "int64")])
PERSON = {"age": 1.5, "city": "Taipei", "visits": 2}
TABLES: dict[str, Callable[[int], Any]] = {
    "records": lambda size: [PERSON] * size,
    "records of numbers as text": lambda size: [{**PERSON, "age": "1.5", "visits": "2"}] * size,
    "records with nulls": lambda size: [{**PERSON, "city": None}] * size,
    "records of different names": lambda size: [{**PERSON, f"k{n}": n} for n in range(size)],
    "unknown names": lambda size: [members(size)],
    "columns": lambda size: {name: [value] * size for name, value in PERSON.items()},
    "unknown columns": lambda size: {f"k{number}": [1] for number in range(size)},
    "rows": lambda size: [[*PERSON.values()]] * size,
    "a wide row": lambda size: [[1] * size],
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


@pytest.mark.parametrize("part", V2)
def test_json_of_the_open_inference_protocol_costs_in_proportion_to_its_size(part: str) -> None:
    """The time to read a message grows with its size, whichever part of it is large."""

    def read(body: bytes) -> None:
        with suppress(ClientError):
            json_requests.read(body, None)

    assert growth(read, lambda size: json.dumps(V2[part](size)).encode(), 2500) < MOST


@pytest.mark.parametrize("form", TABLES)
def test_a_table_costs_in_proportion_to_its_size(form: str) -> None:
    """The time to check a table against its columns grows with the number of its values."""

    def check(value: Any) -> None:
        with suppress(ClientError):
            COLUMNS.table(value, [])

    assert growth(check, TABLES[form], 2500) < MOST


@pytest.mark.parametrize("part", DATA)
def test_protobuf_costs_in_proportion_to_its_size(part: str) -> None:
    """Protobuf requests with many names or dimensions take linear time."""

    def message(size: int) -> bytes:
        data = prediction_pb2.DefaultData(**DATA[part](size))
        return bytes(prediction_pb2.SeldonMessage(data=data).SerializeToString())

    assert growth(read_protobuf, message, 2500) < MOST
