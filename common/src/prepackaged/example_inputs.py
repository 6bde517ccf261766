"""Make up inputs for a model of tensors, and find some that it answers."""

import ast
import math
import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.signature import TensorSpec

Arrays = dict[str, Array]

FREE_SIZES = (1, 32, 224)  # the sizes to try for free axes; convolutions refuse small ones
USUAL: dict[str, Any] = {"f": 0.5, "b": True}  # by dtype kind; 1 for others, "a" for text
TEXT = "a"
MOST_VALUES = 2**22  # enough for an image of 1,000 x 1,000 pixels
MOST_SECONDS = 5.0  # the longest search, in seconds; a call that has begun is not stopped
OPERATIONS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def first_answered(
    run: Callable[[Arrays], Any],
    specs: Sequence[TensorSpec],
    known: Sequence[Mapping[str, Any]] = (),
) -> Arrays:
    """The first made-up inputs of one row that `run` answers; empty if it answers none.

    `run` must have no lasting effect. `known` has values by input that the model is known to
    accept, such as categories; they are tried first.
    """
    deadline = time.monotonic() + MOST_SECONDS
    for arrays in made_up(specs, known):
        try:
            run(arrays)
        except Exception:
            if time.monotonic() > deadline:
                break
        else:
            return arrays
    return {}


def made_up(
    specs: Sequence[TensorSpec], known: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Arrays]:
    """Inputs of one row, the most likely first: known values, usual ones, zeros or empty texts.

    Optional inputs are left out, unless all are optional; then only the first one is made up.
    """
    needed = [spec for spec in specs if not spec.optional] or list(specs[:1])
    ways: list[Callable[[TensorSpec], Any]] = [
        *(lambda spec, values=values: values.get(spec.name, usual(spec)) for values in known),
        usual,
        lambda spec: "" if spec.is_text else 0,
    ]
    for size, value_of in product(FREE_SIZES, ways):
        shapes = sizes_of(needed, size)
        if shapes and sum(map(math.prod, shapes.values())) <= MOST_VALUES:
            yield {spec.name: _filled(spec, shapes[spec.name], value_of(spec)) for spec in needed}


def usual(spec: TensorSpec) -> Any:
    """A value that most models accept."""
    kind = "f" if spec.dtype is None else spec.dtype.kind
    return TEXT if spec.is_text else USUAL.get(kind, 1)


def sizes_of(specs: Sequence[TensorSpec], size: int) -> dict[str, list[int]]:
    """Shapes of one row by input, with `size` for free axes; empty if they are contradictory.

    Axes of the same name have one size. A name may be a sum, such as `past + 1`.
    """
    named = {spec.axes[0]: 1 for spec in specs if spec.is_batch}
    shapes = {}
    for spec in specs:
        known = (1, 1) if spec.shape is None else spec.shape
        axes = spec.axes if spec.shape is not None else (None, None)
        shapes[spec.name] = [
            _size(axis, named, size) if each is None else each
            for each, axis in zip(known, axes, strict=True)
        ]
        if spec.is_batch:
            shapes[spec.name][0] = 1
    return shapes if all(each >= 0 for sizes in shapes.values() for each in sizes) else {}


def _size(axis: str | None, named: Mapping[str | None, int], size: int) -> int:
    """The size of a free axis: that of its name, or what its name says if it is a formula."""
    if axis is None:
        return size
    try:
        return _value(ast.parse(axis.strip(), mode="eval").body, named, size)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return named.get(axis, size)


def _value(part: ast.expr, named: Mapping[str | None, int], size: int) -> int:
    match part:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return named.get(name, size)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
            return OPERATIONS[type(op)](_value(left, named, size), _value(right, named, size))
    raise ValueError("not a formula of sizes")


def _filled(spec: TensorSpec, shape: Sequence[int], value: Any) -> Array:
    """An array of this shape with a value, or with a list of values along the last axis."""
    dtype = object if spec.is_text else spec.dtype or np.float64
    array = np.empty(shape, dtype)
    array[...] = value
    return array
