"""Encode a model's result as JSON: a prediction for each row, or outputs by name."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.b64 import encode_b64
from prepackaged.errors import ClientError, ModelError
from prepackaged.server.protocols.json_writing import dump, dump_array
from prepackaged.server.protocols.results import from_result
from prepackaged.tensors import TensorComponent


def dump_predictions(value: Any, rows: int, model: Any) -> bytes:
    """A JSON list with one prediction for each row of the request.

    With several outputs, a prediction is an object with one row of each output. For one row of
    tensors, the prediction may be the whole result, such as that of a detector. Raises `ModelError`
    if the result does not have one item per row, and `ClientError` if the model answers several
    rows as one.
    """
    if rows == 1 and isinstance(model, TensorComponent):
        if isinstance(value, dict) and model.whole_outputs is not None:
            return dump([_of_one_row(value, model.whole_outputs)])
        if model.whole_outputs or not _has_one_row(value):
            return b"[%b]" % dump_outputs(value)
    if isinstance(value, dict) and _is_outputs(value, model):
        return dump(_by_row(value, rows, model))
    if isinstance(value, str | bytes | bytearray | dict):
        if rows != 1:
            raise ClientError(
                f"expected one instance, since this model answers a request as a whole, got {rows}"
            )
        return dump([_plain(value)])
    listed = value if isinstance(value, list) else from_result(value)
    count = 1 if isinstance(listed, np.ndarray) and listed.ndim == 0 else len(listed)
    if count != rows:
        raise _other_count(model, rows, f"{count}")
    return _dump_rows(listed)


def _of_one_row(outputs: Mapping[str, Any], whole: Collection[str]) -> dict[str, Any]:
    """The prediction for one row, with the same nesting as if there were several rows."""
    return {name: each if name in whole else _listed(each)[0] for name, each in outputs.items()}


def _has_one_row(value: Any) -> bool:
    """Whether an output, or each of several by name, has exactly one row or is no list of rows."""
    outputs = value.values() if isinstance(value, dict) else [value]
    return all(
        not isinstance(each, np.ndarray | list) or len(_listed(each)) == 1 for each in outputs
    )


def _other_count(model: Any, rows: int, got: str) -> ClientError | ModelError:
    """The error for a result that does not have one row for each instance.

    If the model answers with tensors, which need not have rows, it is a `ClientError`.
    """
    if isinstance(model, TensorComponent):
        return ClientError(
            f"expected one instance, or inputs in place of instances: this model does not answer"
            f" row by row; for {rows} instances it gives {got}"
        )
    return ModelError(f"expected a prediction for each of {rows} instances, got {got}")


def dump_outputs(value: Any) -> bytes:
    """The JSON of a model's result: lists, an object of outputs by name, or a text."""
    if isinstance(value, str | bytes | bytearray | dict):
        return dump(_plain(value))
    return _dump_rows(value if isinstance(value, list) else from_result(value))


def _dump_rows(rows: list[Any] | Array) -> bytes:
    """The JSON of lists of any lengths, or of an array; a single number becomes a list."""
    return dump(rows) if isinstance(rows, list) else dump_array(np.atleast_1d(rows))


def _is_outputs(value: Mapping[str, Any], model: Any) -> bool:
    """Whether an object contains outputs by name, each with rows.

    If the model is not a `TensorComponent`, only arrays count as outputs, because other objects may
    have any meaning.
    """
    is_tensors = isinstance(model, TensorComponent)
    return bool(value) and all(
        isinstance(each, np.ndarray) or (is_tensors and isinstance(each, list))
        for each in value.values()
    )


def _by_row(outputs: Mapping[str, Any], rows: int, model: Any) -> list[dict[str, Any]]:
    lists = {name: _listed(each) for name, each in outputs.items()}
    for name, values in lists.items():
        if len(values) != rows:
            raise _other_count(model, rows, f"{len(values)} rows of the output {name!r}")
    return [{name: values[row] for name, values in lists.items()} for row in range(rows)]


def _listed(values: Any) -> list[Any]:
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return listed if isinstance(listed, list) else [listed]


def _plain(value: Any) -> Any:
    return encode_b64(bytes(value)) if isinstance(value, bytes | bytearray) else value
