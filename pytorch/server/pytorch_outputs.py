"""Convert the result of `forward` to arrays by name, or to lists by row if rows differ in size."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prepackaged import ModelError, TensorSpec, row_by_row
from prepackaged.arrays import Array
from prepackaged.signature import FreeShape


def named(
    result: Any, by_row: Collection[str] = (), name: str = "output"
) -> Iterator[tuple[str, Array]]:
    """Yield all tensors in the result of `forward`, by name.

    A single tensor is `output`. The items of a dict or a named tuple keep their names, those of a
    list or a tuple are `output_0`, `output_1`. A list of dicts, as detectors return it, and the
    lists named in `by_row` have an entry for each row; they become arrays of lists, even if these
    happen to have equal lengths. Raises `ModelError` for other values.
    """
    if isinstance(result, Tensor):
        yield name, rows_of(result.unbind()) if result.is_nested else array_of(result)
    elif isinstance(result, bool | int | float):
        yield name, np.asarray(result)
    elif name in by_row or _is_of_dicts(result):
        yield from _by_row(result, name)
    elif result is not None:
        for key, value in parts(result):
            yield from named(value, by_row, below(name, key))


def lengths(result: Any, name: str = "output") -> Iterator[tuple[str, int]]:
    """The lengths of the lists in the result of `forward`, by name."""
    if isinstance(result, list):
        yield name, len(result)
    if isinstance(result, list | tuple | Mapping):
        for key, value in parts(result):
            yield from lengths(value, below(name, key))


def below(name: str, key: Any) -> str:
    """The name of the item `key` in the output `name`."""
    return key if isinstance(key, str) and name == "output" else f"{name}_{key}"


def parts(result: Any) -> Sequence[tuple[Any, Any]]:
    """The values of a dict, named tuple, list or tuple, by key. Raises `ModelError` for others."""
    if isinstance(result, Mapping):
        return list(result.items())
    if hasattr(result, "_fields"):
        return list(zip(result._fields, result, strict=True))
    if isinstance(result, list | tuple):
        return list(enumerate(result))
    raise ModelError(f"forward returned a {type(result).__name__}; expected tensors")


def array_of(tensor: Tensor) -> Array:
    """The tensor as an array: dense, on the CPU, in a dtype that numpy has.

    Floating-point dtypes other than float32 and float64 become float32. Complex numbers become
    pairs of floats on an additional last axis.
    """
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.to_dense().resolve_conj())
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    array: Array = tensor.numpy(force=True)
    return array


def rows_of(values: Iterable[Any]) -> Array:
    """An array of dtype object and shape [n], with a list or a number for each row."""
    rows = [array_of(each) if isinstance(each, Tensor) else each for each in values]
    result = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows):
        result[number] = row.tolist() if isinstance(row, np.ndarray) else row
    return result


def joined(
    rows: Sequence[dict[str, Array]], shapes: Mapping[str, FreeShape]
) -> dict[str, Array]:  # fmt: skip
    """Join the outputs of calls with one row each, as if from a single call.

    `shapes` are the shapes of the outputs of such a call, by name. A first axis of size 1 is the
    batch. If other sizes depend on the values, as in detectors, each row becomes a list.
    """
    names = rows[0]
    return {
        name: rows_of(chain.from_iterable(each[name] for each in rows))
        if rows[0][name].dtype.kind == "O"
        else row_by_row.joined([each[name] for each in rows], shapes.get(name))
        for name in names
    }


def of_rows(shape: FreeShape) -> FreeShape:
    """The shape of a `joined` output; `shape` is its shape in a call with one row."""
    return (None, *(shape[1:] if shape[:1] == (1,) else shape))


def spec_of(name: str, outputs: Sequence[Array]) -> TensorSpec:
    """Describe an output by its arrays in several calls; sizes that differ are free."""
    dtype = outputs[0].dtype
    if dtype.kind == "O":
        has_lists = any(isinstance(row, list) for each in outputs for row in each)
        return TensorSpec(name, None, ragged=has_lists)
    shapes = [np.atleast_1d(each).shape for each in outputs]
    if len(set(map(len, shapes))) > 1:
        return TensorSpec(name, dtype)
    sizes = [set(sizes) for sizes in zip(*shapes, strict=True)]
    return TensorSpec(name, dtype, [size.pop() if len(size) == 1 else None for size in sizes])


def _is_of_dicts(result: Any) -> bool:
    is_list = isinstance(result, list | tuple) and not hasattr(result, "_fields")
    return is_list and bool(result) and all(isinstance(each, dict) for each in result)


def _by_row(result: Iterable[Any], name: str) -> Iterator[tuple[str, Array]]:
    rows = [dict(named(each)) for each in result]
    for key in dict.fromkeys(chain.from_iterable(rows)):
        full = name if key == "output" else below(name, key)
        yield full, rows_of(row.get(key) for row in rows)
