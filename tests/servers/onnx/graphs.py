"""Graphs made with onnx.helper, for cases that converters rarely write."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None] | None
Tensors = Mapping[str, tuple[str, Shape]]
NEWEST = {"": 20}


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Tensors,
    outputs: Tensors,
    weights: Mapping[str, Any] | None = None,
    opsets: Mapping[str, int] | None = None,
    ir_version: int = 10,
) -> onnx.ModelProto:
    """A model with these nodes; each tensor has a name, a type such as `float` and a shape."""
    body = helper.make_graph(
        nodes,
        "graph",
        [tensor(name, *each) for name, each in inputs.items()],
        [tensor(name, *each) for name, each in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    imports = [helper.make_opsetid(*each) for each in {**NEWEST, **(opsets or {})}.items()]
    return helper.make_model(
        body,
        opset_imports=imports,
        ir_version=ir_version,
        producer_name="tests",
        producer_version="7",
    )


def tensor(name: str, kind: str, shape: Shape) -> onnx.ValueInfoProto:
    """A description of a named tensor."""
    return helper.make_tensor_value_info(name, TensorProto.DataType.Value(kind.upper()), shape)


def doubled(kind: str = "float", shape: Shape = ("batch", 4)) -> onnx.ModelProto:
    """A graph that adds x to x."""
    return graph([node("Add", "x x", "y")], {"x": (kind, shape)}, {"y": (kind, shape)})


def same(kind: str, shape: Shape = ("batch", 2)) -> onnx.ModelProto:
    """A graph that returns x."""
    return graph([node("Identity", "x", "y")], {"x": (kind, shape)}, {"y": (kind, shape)})


def product(rows: int = 4, columns: int = 3) -> onnx.ModelProto:
    """A graph that multiplies x [batch, rows] by `weights`."""
    return graph(
        [node("MatMul", "x w", "y")],
        {"x": ("float", ("batch", rows))},
        {"y": ("float", ("batch", columns))},
        {"w": weights(rows, columns)},
    )


def weights(rows: int, columns: int) -> Any:
    """Integers from 0 on."""
    return np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)


CLASSES = ("cat", "dog")


def scores(rows: int | str = "n") -> onnx.ModelProto:
    """A classifier's scores under the names of its classes, as converters write them."""
    model = graph(
        [node("ZipMap", "x", "scores", domain="ai.onnx.ml", classlabels_strings=CLASSES)],
        {"x": ("float", (rows, len(CLASSES)))},
        {},
        opsets={"ai.onnx.ml": 1},
    )
    kind = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    info = helper.make_value_info("scores", helper.make_sequence_type_proto(kind))
    model.graph.output.append(info)
    return model


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; names of inputs and outputs are separated by spaces."""
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)
