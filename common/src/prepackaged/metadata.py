"""Convert a signature to Seldon's metadata, in the same way for all images.

Seldon's schema has two forms: a tensor with name, datatype and shape, as in the Open Inference
Protocol (-1 is a free size); and a `messagetype` with column names and the shape of a row, for
arrays without a name.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from prepackaged.signature import Column, Facts, Signature, TensorSpec

TABLES = ("ndarray", "tensor", "tftensor")  # message types whose rows have columns
LONGEST = 200  # the most characters of all names in a text
DATATYPES = {"b": "BOOL", "f": "FP", "i": "INT", "u": "UINT"}  # without the number of bits


def seldon_metadata(signature: Signature) -> dict[str, Any]:
    """`inputs` and `outputs` for `GET /metadata`; empty lists if they are unknown."""
    return {"inputs": _described(signature.inputs), "outputs": _described(signature.outputs)}


def contradictions(signature: Signature, written: Mapping[str, Any]) -> dict[str, str]:
    """Compare `inputs` and `outputs` in Seldon's schema with the signature; differences by field.

    Columns or tensors are compared only if both the model and the metadata name them.
    """
    found = {}
    for field, described in seldon_metadata(signature).items():
        ours, theirs = _named(described), _named(written.get(field, []))
        for kind in ours.keys() & theirs.keys():
            if ours[kind] != theirs[kind]:
                shown = f"expected {kind} {_cut(ours[kind])}, as the model has, got"
                found[field] = f"{field}: {shown} {_cut(theirs[kind])}"
    return found


def _named(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The names of tensors or of columns, or the number of columns without names."""
    facts: dict[str, Any] = {}
    if tensors := sorted(each["name"] for each in entries if "name" in each):
        facts["tensors"] = tensors
    tables = [each.get("schema", {}) for each in entries if each.get("messagetype") in TABLES]
    if len(tables) == 1:
        names, shape = tables[0].get("names"), tables[0].get("shape")
        facts |= {"columns": sorted(names)} if names else {}
        facts |= {"a row of shape": shape[-1:]} if shape else {}
    return facts


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _described(facts: Facts | None) -> list[dict[str, Any]]:
    columns = [each for each in facts or () if isinstance(each, Column)]
    tensors = [_tensor(each) for each in facts or () if isinstance(each, TensorSpec)]
    return [_table(columns)] if columns else tensors


def _table(columns: list[Column]) -> dict[str, Any]:
    names = [each.name for each in columns]
    return _ndarray([len(names)], () if None in names else names)


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    if not spec.name:
        return _ndarray(_sizes(spec)[1:]) if spec.shape else {"messagetype": "ndarray"}
    tensor: dict[str, Any] = {"name": spec.name}
    if datatype := _datatype(spec):
        tensor["datatype"] = datatype
    if spec.shape is not None:
        tensor["shape"] = _sizes(spec)
    return tensor


def _ndarray(shape: list[int], names: Iterable[str | None] = ()) -> dict[str, Any]:
    """An array whose rows have this shape."""
    named = {"names": list(names)} if names else {}
    return {"messagetype": "ndarray", "schema": {**named, "shape": shape}}


def _sizes(spec: TensorSpec) -> list[int]:
    return [-1 if size is None else size for size in spec.shape or ()]


def _datatype(spec: TensorSpec) -> str | None:
    if spec.dtype is None or spec.is_text:
        return "BYTES" if spec.is_text else None
    name = DATATYPES.get(spec.dtype.kind)
    return f"{name}{spec.dtype.itemsize * 8}" if name and name != "BOOL" else name
