"""Convert the tensors of a request to the payload of the model's `prepare` and `predict`.

The payload is an array, arrays by name, or a table by columns: the same as from Seldon's `data` and
`jsonData`, so that requests of both protocols can share a call.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from prepackaged.arrays import Array, list_by_row
from prepackaged.errors import ClientError
from prepackaged.server.protocols.shapes import shown_shape
from prepackaged.server.protocols.v2.codecs import decoded
from prepackaged.server.protocols.v2.datatypes import BYTES
from prepackaged.server.protocols.v2.tensors import Tensor, cut_name
from prepackaged.signature import Column, declared_signature
from prepackaged.tensors import TensorComponent

MOST_COPIED = 2**22  # the most bytes that the event loop copies, in about a millisecond
PANDAS = "pd"  # the content type of a request whose tensors are the columns of a table


class Inputs:
    """Convert the tensors of requests for one model.

    The model accepts tensors by name, or a table, or has no signature.
    """

    def __init__(self, model: Any) -> None:
        known = declared_signature(model)
        self._specs = {spec.name for spec in known.input_tensors} if known else set()
        self._takes_others = bool(getattr(model, "takes_other_names", False))
        self._takes_tensors = bool(self._specs) or isinstance(model, TensorComponent)
        self.takes_tables = known is not None and not self._takes_tensors
        columns = (known.inputs or ()) if known and self.takes_tables else ()
        self._count = len(columns) if columns else None
        self._names = {each.name for each in columns if isinstance(each, Column)} - {None}
        self._is_nameless = bool(columns) and not self._names

    def value(self, tensors: Sequence[Tensor], content_type: Any) -> tuple[Any, list[str]]:
        """The payload of a request, and its column names if they are separate."""
        _check_names(tensors)
        if self._takes_tensors:
            return self._tensors(tensors), []
        first = tensors[0]
        is_column = first.name in self._names and _is_column(first)
        if len(tensors) == 1 and content_type != PANDAS and not is_column:
            return self._array(first), []
        is_in_order = self._is_nameless and content_type == PANDAS
        if self.takes_tables and not is_in_order:
            return _columns(tensors), []
        if content_type == PANDAS:
            return _table(tensors), [tensor.name for tensor in tensors]
        return {tensor.name: _with_rows(decoded(tensor, are_texts=False)) for tensor in tensors}, []

    def only_copies(self, tensors: Sequence[Tensor]) -> bool:
        """Whether `value` only copies binary numbers, which takes less time than another thread.

        The columns of a table are cast as well.
        """
        sizes = [len(each.content) for each in tensors if each.content is not None]
        is_binary = len(sizes) == len(tensors) and sum(sizes) <= MOST_COPIED
        has_texts = any(each.datatype is BYTES for each in tensors)
        return is_binary and not (has_texts or self.takes_tables)

    def _tensors(self, tensors: Sequence[Tensor]) -> Any:
        """One array if the model has one input, whatever its name, else arrays by name."""
        arrays = {each.name: _with_rows(decoded(each, are_texts=False)) for each in tensors}
        is_one = len(arrays) == len(self._specs) == 1
        if is_one and not (self._takes_others and tensors[0].name not in self._specs):
            return arrays[tensors[0].name]
        return arrays

    def _array(self, tensor: Tensor) -> Array:
        array = decoded(tensor, are_texts=self.takes_tables)
        if not self.takes_tables or len(tensor.shape) > 1 or tensor.datatype is BYTES:
            return _with_rows(array)
        if self._count == 1 and array.ndim:
            return array.reshape(-1, 1)
        columns = "columns" if self._count is None else self._count
        raise tensor.wrong(
            f"expected rows of values, shape [rows, {columns}], got shape"
            f" {shown_shape(tensor.shape)}; a single row is shape [1, {columns}]"
        )


def _with_rows(array: Array) -> Array:
    """The array; a single value, such as an image of shape [], becomes one row."""
    return array if array.ndim else array.reshape(1)


def _check_names(tensors: Sequence[Tensor]) -> None:
    if len(tensors) > 1 and len({tensor.name for tensor in tensors}) < len(tensors):
        counts = Counter(tensor.name for tensor in tensors)
        twice = next(name for name, times in counts.items() if times > 1)
        raise ClientError(f"expected each input once, got {cut_name(twice)!r} twice")


def _columns(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """A table for `tables`: a record if it has one row, else columns by name.

    Raises `ClientError` for tensors of unequal lengths, without rows, or that are not columns.
    """
    rows = _row_count(tensors)
    if rows == 0:
        shape = shown_shape(tensors[0].shape)
        raise tensors[0].wrong(f"expected at least one row, got shape {shape}")
    if rows == 1:
        return {tensor.name: _cell(tensor) for tensor in tensors}
    return {tensor.name: _column(tensor) for tensor in tensors}


def _row_count(tensors: Sequence[Tensor]) -> int:
    first = tensors[0].shape[0] if tensors[0].shape else 1
    for tensor in tensors:
        if tensor.shape not in ([first], [first, 1]):
            got = shown_shape(tensor.shape)
            raise tensor.wrong(f"expected a column, shape [{first}] or [{first}, 1], got {got}")
    return first


def _is_column(tensor: Tensor) -> bool:
    return len(tensor.shape) == 1 or tensor.shape[1:] == [1]


def _cell(tensor: Tensor) -> Any:
    """The value of a column with one row."""
    values = tensor.values
    if type(values) is list and len(values) == 1 and tensor.content_type is None:
        value = values[0]
        if value is None or type(value) is tensor.datatype.plain:
            return value
    column = _column(tensor)
    return column.item() if isinstance(column, np.ndarray) else column[0]


def _column(tensor: Tensor) -> Array | list[Any]:
    """A column's values in its declared datatype; null is NaN among floats, else None."""
    is_listed = type(tensor.values) is list and tensor.datatype.dtype.kind != "f"
    values = tensor.flat() if is_listed else ()
    if None not in values:
        return decoded(tensor, are_texts=True).ravel()
    filling = "null" if tensor.datatype is BYTES else 0  # "null" is valid pd_json
    filled = [filling if value is None else value for value in values]
    present = decoded(replace(tensor, values=filled), are_texts=True).ravel().tolist()
    pairs = zip(values, present, strict=True)
    return [None if sent is None else value for sent, value in pairs]


def _table(tensors: Sequence[Tensor]) -> Array:
    """Columns side by side, in their common dtype; objects if one has text or null."""
    rows = _row_count(tensors)
    columns = [_column(tensor) for tensor in tensors]
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    if len(arrays) == len(columns) and all(array.dtype.kind in "biuf" for array in arrays):
        return np.column_stack(arrays)
    objects = np.empty((rows, len(columns)), object)
    for place, column in enumerate(columns):
        values = column.tolist() if isinstance(column, np.ndarray) else column
        objects[:, place] = list_by_row(values)
    return objects
