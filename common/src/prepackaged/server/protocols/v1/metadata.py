"""A model's metadata in TensorFlow Serving's form (get_model_metadata.proto as JSON)."""

from typing import Any

from prepackaged.server.protocols.v1.requests import served_signature
from prepackaged.signature import (
    Column,
    Facts,
    FreeShape,
    Signature,
    TensorSpec,
    declared_signature,
)

BITS = (8, 16, 32, 64)
# TensorFlow's types (types.proto); unknown types are DT_INVALID.
TYPES = {
    "float64": "DT_DOUBLE",
    "float32": "DT_FLOAT",
    "float16": "DT_HALF",
    "bool": "DT_BOOL",
    "text": "DT_STRING",
    "datetime": "DT_STRING",
    "complex64": "DT_COMPLEX64",
    "complex128": "DT_COMPLEX128",
    **{f"{kind}{bits}": f"DT_{kind.upper()}{bits}" for kind in ("int", "uint") for bits in BITS},
}
UNKNOWN = "DT_INVALID"
METHOD = "tensorflow/serving/predict"


def metadata(name: str, version: str, model: Any) -> dict[str, Any]:
    """The response to `GET .../metadata`: inputs and outputs of the signature; -1 is a free size.

    A table has an input for each column, or one input if columns have no names, and one output.
    """
    known = declared_signature(model) or Signature()
    described = {
        "inputs": _described(known.inputs, "inputs", by_column=True),
        "outputs": _described(known.outputs, "outputs", by_column=False),
        "method_name": METHOD,
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {served_signature(model): described}}},
    }


def _described(facts: Facts | None, default: str, *, by_column: bool) -> dict[str, Any]:
    columns = [each for each in facts or () if isinstance(each, Column)]
    is_named = all(column.name is not None for column in columns)
    if columns and not (by_column and is_named):
        (kind, *others) = {_type_of_column(column) for column in columns}
        return {default: _tensor(default, UNKNOWN if others else kind, (None, len(columns)))}
    return {
        each.name or default: _tensor(each.name or default, *_type_and_shape(each))
        for each in facts or ()
    }


def _type_and_shape(fact: Column | TensorSpec) -> tuple[str, FreeShape | None]:
    if isinstance(fact, Column):
        return _type_of_column(fact), (None,)
    if fact.is_text:
        return "DT_STRING", fact.shape
    return TYPES.get("float64" if fact.dtype is None else fact.dtype.name, UNKNOWN), fact.shape


def _type_of_column(column: Column) -> str:
    if column.kind == "category" and column.categories:
        is_text = all(isinstance(each, str) for each in column.categories)
        return "DT_STRING" if is_text else UNKNOWN
    return TYPES.get(column.kind, UNKNOWN)


def _tensor(name: str, dtype: str, shape: FreeShape | None) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in shape or ()]
    tensor_shape = {"dim": sizes, "unknown_rank": shape is None}
    return {"dtype": dtype, "tensor_shape": tensor_shape, "name": name}
