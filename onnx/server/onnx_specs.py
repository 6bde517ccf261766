"""Convert a graph's inputs and outputs, as onnxruntime lists them, to `TensorSpec`s."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import onnx_bfloat16 as bfloat16

from prepackaged import DeploymentError, TensorSpec
from prepackaged.signature import BATCH

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = {name: name for name in ("bool", "float16", *INTEGERS)} | {
    "float": "float32",
    "double": "float64",
    "string": "object",
    bfloat16.NAME: "float32",
}
INPUT = re.compile(r"(optional\()?tensor\((\w+)\)\)?")
OUTPUT = re.compile(r"(optional\(|seq\()?(map\(\w+,)?tensor\((\w+)\)\)*")


def rows_of_one(
    nodes: Sequence[Any], unranked: Collection[str], states: Collection[str] = ()
) -> frozenset[str]:
    """The names of the inputs whose first axis is a batch that is fixed at 1.

    Empty if the first axis of any input is free: then that axis is the batch, and inputs with size
    1 are settings or states. The first axis of `states` of recurrent layers is not the batch.
    """
    ranked = [node for node in nodes if node.name not in unranked and node.shape]
    if not all(isinstance(node.shape[0], int) for node in ranked):
        return frozenset()
    return frozenset(node.name for node in ranked if node.shape[0] == 1 and node.name not in states)


def required(node: Any, by_row: Collection[str], unranked: Collection[str]) -> TensorSpec:
    """The spec of an input, with a free batch if rows run one by one.

    Raises `DeploymentError` for a type that no request can hold, such as a sequence.
    """
    kind = INPUT.fullmatch(node.type)
    if kind is None or kind[2] not in DTYPES:
        raise DeploymentError(
            f"input {node.name!r} is a {node.type}, which no request can hold: this image serves"
            f" models whose inputs are tensors of {', '.join(DTYPES)}"
        )
    shape = [BATCH, *node.shape[1:]] if node.name in by_row else node.shape
    return _spec(
        node.name, kind[2], None if node.name in unranked else shape, is_optional=bool(kind[1])
    )


def replaceable(nodes: Iterable[Any]) -> Iterator[TensorSpec]:
    """The specs of initializers that are also inputs of the graph, which requests may replace."""
    for node in nodes:
        kind = INPUT.fullmatch(node.type)
        if kind and kind[2] in DTYPES:
            yield _spec(node.name, kind[2], node.shape, is_optional=True)


def output(node: Any, *, is_by_row: bool = False) -> TensorSpec:
    """The spec of an output; if rows run one by one, it has as many rows as the request.

    Raises `DeploymentError` for a type that no response can hold.
    """
    kind = OUTPUT.fullmatch(node.type)
    if kind is None or kind[3] not in DTYPES:
        raise DeploymentError(
            f"output {node.name!r} is a {node.type}, which no answer can hold: choose others in the"
            " parameter outputs"
        )
    # An empty shape means a scalar or an unknown shape.
    shape = None if kind[1] else node.shape or None
    if shape and is_by_row:
        shape = [BATCH, *shape[1:]] if shape[0] == 1 else None
    spec = _spec(node.name, kind[3], shape)
    is_of_tensors = kind[1] == "seq(" and not kind[2]
    return TensorSpec(spec.name, spec.dtype, spec.shape, axes=spec.axes, ragged=is_of_tensors)


def with_one_batch(spec: TensorSpec) -> TensorSpec:
    """The input with its first axis marked as the batch that all inputs share."""
    axes = (BATCH, *spec.axes[1:])
    return TensorSpec(spec.name, spec.dtype, spec.shape, optional=spec.optional, axes=axes)


def _spec(
    name: str, kind: str, shape: Sequence[Any] | None, *, is_optional: bool = False
) -> TensorSpec:
    """The spec of a tensor; free axes have the graph's names, if there are any."""
    sizes = None if shape is None else [axis if isinstance(axis, int) else None for axis in shape]
    axes = [axis if isinstance(axis, str) else None for axis in shape or ()]
    return TensorSpec(name, DTYPES[kind], sizes, optional=is_optional, axes=axes)
