"""The protocol's metadata of the server and of the model, created from the model's signature."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from prepackaged.metadata import DATATYPES
from prepackaged.server.protocols.v2.datatypes import datatype_of
from prepackaged.server.protocols.v2.outputs import Outputs, array_of, named
from prepackaged.server.protocols.v2.served import Name
from prepackaged.signature import Column, Facts, Signature, TensorSpec, declared_signature

SERVER = "prepackaged"
EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration")
REPOSITORY = "model_repository"  # the extension for loading and unloading models
#: The specification's names of platforms; for other models, it is the framework's name.
PLATFORMS = {
    "onnx": "onnx_onnxv1",
    "pytorch": "pytorch_torchscript",
    "tensorflow": "tensorflow_savedmodel",
}
KINDS = {"float32": "FP32", "int64": "INT64", "bool": "BOOL", "text": "BYTES", "datetime": "BYTES"}
UNKNOWN = "FP64"  # clients require a datatype
STATES = ("READY", "UNAVAILABLE")

Entry = dict[str, Any]


def server_metadata(*, changes_model: bool) -> dict[str, Any]:
    """The server's name, version and extensions; `changes_model` if clients may load the model."""
    extensions = [*EXTENSIONS, REPOSITORY] if changes_model else [*EXTENSIONS]
    return {"name": SERVER, "version": version("prepackaged"), "extensions": extensions}


def model_metadata(model: Any, name: Name) -> dict[str, Any]:
    """The model's metadata: -1 is a free size, and shapes begin with the batch.

    `parameters` contain the classes and methods in the signature.
    """
    platform = getattr(model, "platform", "")
    signature = declared_signature(model) or Signature()
    described: dict[str, Any] = {
        "name": name.model,
        "versions": [name.version],
        "platform": PLATFORMS.get(platform, platform),
        "inputs": _described(signature.inputs, "input-0"),
        "outputs": _outputs(model, signature),
    }
    parameters = {
        "class_names": list(signature.class_names or ()),
        "methods": list(signature.methods),
    }
    shown = {key: value for key, value in parameters.items() if value}
    return {**described, "parameters": shown} if shown else described


def _described(facts: Facts | None, nameless: str) -> list[Entry]:
    """Describe tensors; columns become one tensor each if all have names, else one together."""
    tensors = [each for each in facts or () if isinstance(each, TensorSpec)]
    if tensors:
        return [_tensor(each, nameless) for each in tensors]
    columns = [each for each in facts or () if isinstance(each, Column)]
    if not columns:
        return []
    if any(column.name is None for column in columns):
        return [_entry(nameless, _datatype_of_all(columns), [-1, len(columns)])]
    return [_entry(str(column.name), _datatype(column), [-1, 1]) for column in columns]


def _outputs(model: Any, signature: Signature) -> list[Entry]:
    """The model's outputs; for an estimator, the output of its default method."""
    if signature.output_tensors:
        described = _described(signature.outputs, Outputs(model).default)
        return [{**each, "shape": each["shape"] or [1]} for each in described]
    if signature.method is None:
        return []
    example = getattr(model, "example_answer", None)
    if example is not None:
        arrays = {name: array_of(each) for name, each in named(example, signature.method).items()}
        return [
            _entry(name, datatype_of(array).name, [-1, *array.shape[1:]])
            for name, array in arrays.items()
        ]
    count = len(signature.outputs or ())
    return [_entry(signature.method, UNKNOWN, [-1, count] if count else [-1])]


def _tensor(spec: TensorSpec, nameless: str) -> Entry:
    if spec.ragged:  # each row is JSON in an element of BYTES
        return _entry(spec.name or nameless, "BYTES", [-1])
    sizes = [-1] if spec.shape is None else [-1 if each is None else each for each in spec.shape]
    return _entry(spec.name or nameless, datatype_of_spec(spec), sizes)


def datatype_of_spec(spec: TensorSpec) -> str:
    """The datatype of a tensor; the widest if it accepts any number."""
    if spec.dtype is None or spec.is_text:
        return "BYTES" if spec.is_text else UNKNOWN
    kind, bits = DATATYPES.get(spec.dtype.kind, UNKNOWN), spec.dtype.itemsize * 8
    return kind if kind in ("BOOL", UNKNOWN) else f"{kind}{bits}"


def _datatype(column: Column) -> str:
    if column.kind == "category":
        values = np.array(column.categories or [""])
        return "BYTES" if values.dtype.kind not in "biuf" else _of_kind(values.dtype.kind)
    return KINDS.get(column.kind, UNKNOWN)


def _of_kind(kind: str) -> str:
    return {"b": "BOOL", "f": "FP64"}.get(kind, "INT64")


def _datatype_of_all(columns: Iterable[Column]) -> str:
    kinds = {_datatype(column) for column in columns}
    return kinds.pop() if len(kinds) == 1 else UNKNOWN


def _entry(name: str, datatype: str, shape: list[int]) -> Entry:
    return {"name": name, "datatype": datatype, "shape": shape}


def model_config(metadata: Mapping[str, Any], most_rows: int) -> dict[str, Any]:
    """The configuration for Triton's perf_analyzer.

    `max_batch_size` is 0 if an input's first axis is not the batch; then dims have all axes.
    """
    tensors = [*metadata["inputs"], *metadata["outputs"]]
    is_batch = bool(tensors) and all(each["shape"][:1] == [-1] for each in tensors)
    first = 1 if is_batch else 0
    return {
        "name": metadata["name"],
        "platform": metadata["platform"],
        "max_batch_size": most_rows if is_batch else 0,
        "input": [_configured(each, first) for each in metadata["inputs"]],
        "output": [_configured(each, first) for each in metadata["outputs"]],
    }


def _configured(entry: Entry, first: int) -> Entry:
    kind = entry["datatype"]
    return {
        "name": entry["name"],
        "data_type": f"TYPE_{'STRING' if kind == 'BYTES' else kind}",
        "dims": entry["shape"][first:] or [1],
    }


def repository_index(name: Name, *, is_ready: bool) -> list[dict[str, str]]:
    """The index of the repository: the model with its state."""
    state = STATES[0] if is_ready else STATES[1]
    return [{"name": name.model, "version": name.version, "state": state, "reason": ""}]
