"""Read facts from an ONNX file without its weights.

An ONNX file is one protobuf message. This module parses only its outline, so that a large model
is not read twice and the image does not need the package `onnx`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

# Field numbers in onnx.proto of the fields that contain tensors at any depth, by message.
NESTED = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
IR_VERSION, PRODUCER_NAME, PRODUCER_VERSION, OPSET_IMPORT = 1, 2, 3, 8  # of a model
NODE, NODE_INPUT, OPERATOR = 1, 1, 4  # the first of a graph, the others of a node
ATTRIBUTE, INTEGERS, STRINGS = 5, 8, 9  # the first of a node, the others of an attribute
GRAPH, INPUT, TYPE, TENSOR, SHAPE = 7, 11, 2, 1, 2  # GRAPH of a model, each other of the previous
# Positions of initial_h and initial_c, whose first axis is the layer's directions, not the batch.
STATES = {"RNN": (5,), "GRU": (5,), "LSTM": (5, 6)}
# The attributes with categories, by operator of the domain ai.onnx.ml.
CATEGORIES = {
    "OneHotEncoder": ("cats_strings", "cats_int64s"),
    "LabelEncoder": ("keys_strings", "keys_int64s"),
    "CategoryMapper": ("cats_strings",),
}
EXTERNAL_DATA = 13  # of a tensor
# Fields that hold the values themselves, often millions: no file name follows them.
VALUES = {"tensor": {4, 5, 6, 7, 9, 10, 11}, "attribute": {2, 3, 4, 7, 8, 9}}
SIZES = {1: 8, 5: 4}  # in bytes, of protobuf's two fixed-size wire types


@dataclass(frozen=True)
class Outline:
    """Versions, producer and other facts in an ONNX file.

    `opsets` has the version of each operator set by domain. `data_files` are the paths of separate
    files with weights. `unranked` are the names of inputs with any number of axes, which
    onnxruntime does not distinguish from scalars. `states` are the names of tensors that recurrent
    operators take as their state, whose first axis is not the batch. `categories` has a
    category of each encoder, in the order of the nodes.
    """

    ir_version: int
    opsets: dict[str, int]
    producer: str
    data_files: tuple[str, ...]
    unranked: frozenset[str]
    states: frozenset[str]
    categories: tuple[str | int, ...] = ()

    def opset(self) -> str:
        """The operator sets in words, such as `ai.onnx 20, ai.onnx.ml 3`."""
        return ", ".join(f"{domain} {version}" for domain, version in sorted(self.opsets.items()))


def outline(path: Path) -> Outline:
    """Read the outline of an ONNX file. Raises `ValueError` for other files."""
    with path.open("rb") as file:
        content = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
    try:
        return _outline(content)
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError("it is not an ONNX model") from error


def _outline(model: memoryview) -> Outline:
    fields = list(_fields(model))
    values = dict(fields)
    opsets = [dict(_fields(value)) for number, value in fields if number == OPSET_IMPORT]
    producer = (_text(values.get(number, b"")) for number in (PRODUCER_NAME, PRODUCER_VERSION))
    return Outline(
        ir_version=int(values[IR_VERSION]) if IR_VERSION in values else 0,
        opsets={_text(each.get(1, b"")) or "ai.onnx": int(each.get(2, 0)) for each in opsets},
        producer=" ".join(filter(None, producer)),
        data_files=tuple(dict.fromkeys(_data_files(model, "model"))),
        unranked=frozenset(_unranked(values[GRAPH])),
        states=frozenset(_states(values[GRAPH])),
        categories=tuple(_categories(values[GRAPH])),
    )


def _data_files(message: memoryview, kind: str) -> Iterator[str]:
    """Yield the file locations that tensors anywhere in the message name.

    An attribute has one kind of value, and a tensor has either values or the location of a file.
    """
    values = VALUES.get(kind, ())
    for number, value in _fields(message):
        if number in values:
            return
        if kind == "tensor" and number == EXTERNAL_DATA:
            entry = dict(_fields(value))
            if _text(entry.get(1, b"")) == "location":
                yield _text(entry.get(2, b""))
        elif nested := NESTED.get(kind, {}).get(number):
            yield from _data_files(value, nested)


def _unranked(graph: memoryview) -> Iterator[str]:
    for number, value in _fields(graph):
        if number == INPUT:
            info = dict(_fields(value))
            tensor = dict(_fields(info[TYPE])).get(TENSOR)
            if tensor is not None and SHAPE not in dict(_fields(tensor)):
                yield _text(info[1])


def _states(graph: memoryview) -> Iterator[str]:
    for number, value in _fields(graph):
        if number == NODE:
            fields = list(_fields(value))
            inputs = [each for key, each in fields if key == NODE_INPUT]
            places = STATES.get(_text(dict(fields).get(OPERATOR, b"")), ())
            yield from (_text(inputs[place]) for place in places if place < len(inputs))


def _categories(graph: memoryview) -> Iterator[str | int]:
    for number, value in _fields(graph):
        if number != NODE:
            continue
        node = list(_fields(value))
        names = CATEGORIES.get(_text(dict(node).get(OPERATOR, b"")), ())
        for attribute in (dict(_fields(each)) for key, each in node if key == ATTRIBUTE and names):
            if _text(attribute.get(1, b"")) in names:
                yield from _last(attribute)


def _last(attribute: dict[int, Any]) -> Iterator[str | int]:
    """The last string or integer in an attribute; empty if it has neither."""
    if STRINGS in attribute:
        yield _text(attribute[STRINGS])
    elif INTEGERS in attribute:
        number = attribute[INTEGERS]
        number = number if isinstance(number, int) else _varint(number, 0)[0]
        yield number - 2**64 if number >= 2**63 else number


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: an int for a varint, else bytes.

    Raises `ValueError` or `LookupError` for a message that is truncated or not protobuf.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size, at = _varint(message, at) if key & 7 == 2 else (SIZES.get(key & 7, -1), at)
        if not 0 <= size <= len(message) - at:
            raise ValueError("the message is cut off, or is not a protobuf message")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Decode the number that starts at this byte; returns it and the position after it."""
    number = shift = 0
    while True:
        byte = message[at]
        number, shift, at = number | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return number, at


def _text(value: Any) -> str:
    return bytes(value).decode()
