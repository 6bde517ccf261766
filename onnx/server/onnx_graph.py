"""A session as a function of arrays: what its graph takes and gives, in numpy's terms."""

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np
import onnx_bfloat16 as bfloat16
import onnxruntime
from onnx_session import reason
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

from prepackaged import ClientError, DeploymentError, ModelError, Signature, TensorSpec
from prepackaged.arrays import Array
from prepackaged.signature import BATCH

logger = logging.getLogger(__name__)

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = {name: name for name in ("bool", "float16", *INTEGERS)} | {
    "float": "float32",
    "double": "float64",
    "string": "object",
    bfloat16.NAME: "float32",
}
MACHINE = re.compile("allocat|failure", re.IGNORECASE)  # no memory, or `CUDA failure 719`
# Exceptions say what went wrong; onnxruntime's own log would only say it again.
QUIETLY = onnxruntime.RunOptions()
QUIETLY.log_severity_level = 4  # only what is fatal

graphs: WeakSet["Graph"] = WeakSet()


class Graph:
    """A model's graph, to be called with an array for each input by name.

    `inputs` and `outputs` say what it takes and gives. Where the batch is fixed at 1 it is free
    here, and rows are run one by one. `labels` are the classes of outputs that list
    `{class: score}`, as converters of classifiers make them; they are known after the first run.
    """

    def __init__(
        self,
        open_session: Callable[[], onnxruntime.InferenceSession],
        wanted: Sequence[str] = (),
        unranked: Collection[str] = (),
    ) -> None:
        """Answer with the `wanted` outputs, with all where none are named.

        Raises `DeploymentError` for outputs that are not there, and for inputs and outputs that
        no request or answer can hold.
        """
        self._open = open_session
        self._session: onnxruntime.InferenceSession | None = None
        self.labels: dict[str, list[str]] = {}
        nodes = self.session.get_inputs()
        answers = _chosen(self.session.get_outputs(), wanted)
        self._single_rows = {node.name for node in nodes if node.shape[:1] == [1]}
        types = {node.name: node.type for node in (*nodes, *answers)}
        self._bfloat16s = {name for name, kind in types.items() if bfloat16.NAME in kind}
        self.inputs = tuple(_input(node, is_unranked=node.name in unranked) for node in nodes)
        self.outputs = tuple(_output(node, is_free=bool(self._single_rows)) for node in answers)
        graphs.add(self)

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The session, whether it was open or not."""
        return self._session or self.open()

    def open(self) -> onnxruntime.InferenceSession:
        """Open the session unless it is open: at first, and where this process was forked since."""
        if self._session is None:
            self._session = self._open()
        return self._session

    def close(self) -> None:
        """End the session and its threads, until it is asked for again."""
        self._session = None

    @property
    def is_run_row_by_row(self) -> bool:
        """Whether the batch is fixed at 1."""
        return bool(self._single_rows)

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """An array for each output by name.

        Raises `ClientError` where the graph refuses the values, `ModelError` where it fails.
        """
        rows = max((len(arrays[name]) for name in self._single_rows & arrays.keys()), default=1)
        if rows == 1:
            return self._run(arrays)
        answers = [self._run(self._row(arrays, row)) for row in range(rows)]
        return {name: _joined([answer[name] for answer in answers]) for name in answers[0]}

    def try_out(self) -> None:
        """Run the graph once, free axes of size 1: the first run is slow, and tells labels."""
        arrays = {spec.name: _blank(spec) for spec in self.inputs}
        try:
            self(arrays)
        except (ClientError, ModelError) as error:
            logger.info("A trial with zeros, free axes of size 1, was refused: %s", error)
        self.outputs = tuple(map(self._labelled, self.outputs))

    def signature(self) -> Signature:
        """What the graph takes and gives, and the classes where one output lists some."""
        labels = [*self.labels.values()]
        class_names = tuple(labels[0]) if len(labels) == 1 else None
        return Signature(self.inputs, self.outputs, class_names).with_source("model")

    def _labelled(self, spec: TensorSpec) -> TensorSpec:
        """The output with a column for each of its labels."""
        if spec.name not in self.labels:
            return spec
        return TensorSpec(spec.name, spec.dtype, (None, len(self.labels[spec.name])))

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        names = [spec.name for spec in self.outputs]
        try:
            values = self._values(names, arrays)
        except Exception as error:
            raise _blamed(error) from error
        return {name: self._array(name, value) for name, value in zip(names, values, strict=True)}

    def _values(self, names: list[str], arrays: Mapping[str, Array]) -> list[Any]:
        if not self._bfloat16s:
            return list(self.session.run(names, arrays, QUIETLY))
        given = {
            name: bfloat16.from_float32(array)
            if name in self._bfloat16s
            else onnxruntime.OrtValue.ortvalue_from_numpy(array)
            for name, array in arrays.items()
        }
        return list(map(bfloat16.to_array, self.session.run_with_ort_values(names, given, QUIETLY)))

    def _array(self, name: str, value: Any) -> Array:
        """An output as an array, whatever onnxruntime has it as."""
        if isinstance(value, np.ndarray):
            return value
        if isinstance(value, list) and value and isinstance(value[0], dict):
            self.labels[name] = [str(label) for label in value[0]]
            return np.array([list(scores.values()) for scores in value])
        return _joined(value or [])

    def _row(self, arrays: Mapping[str, Array], row: int) -> dict[str, Array]:
        return {
            name: array[row : row + 1] if name in self._single_rows else array
            for name, array in arrays.items()
        }


def _chosen(nodes: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    by_name = {node.name: node for node in nodes}
    if unknown := [name for name in wanted if name not in by_name]:
        raise DeploymentError(
            f"the parameter outputs names {', '.join(unknown)}; the model has {', '.join(by_name)}"
        )
    return [by_name[name] for name in wanted or by_name]


def _input(node: Any, *, is_unranked: bool) -> TensorSpec:
    kind = re.fullmatch(r"(optional\()?tensor\((\w+)\)\)?", node.type)
    if kind is None or kind[2] not in DTYPES:
        raise DeploymentError(
            f"input {node.name!r} is a {node.type}, which no request can hold: this image serves"
            f" models whose inputs are tensors of {', '.join(DTYPES)}"
        )
    return _spec(
        node.name, kind[2], None if is_unranked else _freed(node.shape), is_optional=bool(kind[1])
    )


def _output(node: Any, *, is_free: bool) -> TensorSpec:
    kind = re.fullmatch(r"(optional\(|seq\()?(map\(\w+,)?tensor\((\w+)\)\)*", node.type)
    if kind is None or kind[3] not in DTYPES:
        raise DeploymentError(
            f"output {node.name!r} is a {node.type}, which no answer can hold: name others in the"
            " parameter outputs"
        )
    if kind[1]:
        return TensorSpec(node.name, DTYPES[kind[3]])
    # An empty shape is that of a scalar, and of what nobody knows the shape of.
    return _spec(node.name, kind[3], (_freed(node.shape) if is_free else node.shape) or None)


def _freed(shape: list[Any]) -> list[Any]:
    """The shape with a batch of 1 as a free axis."""
    return [BATCH, *shape[1:]] if shape[:1] == [1] else shape


def _spec(
    name: str, kind: str, shape: list[Any] | None, *, is_optional: bool = False
) -> TensorSpec:
    """A tensor whose free axes have the names that the graph gives them, if it does."""
    sizes = None if shape is None else [axis if isinstance(axis, int) else None for axis in shape]
    axes = [axis if isinstance(axis, str) else None for axis in shape or ()]
    return TensorSpec(name, DTYPES[kind], sizes, optional=is_optional, axes=axes)


def _blank(spec: TensorSpec) -> Array:
    shape = [size or 1 for size in spec.shape or ()]
    return np.full(shape, "", object) if spec.is_text else np.zeros(shape, spec.dtype)


def _joined(parts: Sequence[Array]) -> Array:
    """Answers to one row each as one array: along their batch if they have one."""
    if all(part.shape[:1] == (1,) for part in parts):
        return np.concatenate(parts) if parts else np.array([])
    if len({part.shape for part in parts}) == 1:
        return np.stack(parts)
    ragged = np.empty(len(parts), object)
    ragged[:] = [part.tolist() for part in parts]
    return ragged


def _blamed(error: Exception) -> ClientError | ModelError:
    """Whose fault it is: that of the values, unless memory or a GPU failed."""
    if isinstance(error, InvalidArgument | Fail) and not MACHINE.search(str(error)):
        return ClientError(f"the model refuses the data: {reason(error)}")
    logger.error("The model failed", exc_info=error)
    return ModelError(f"the model failed: {reason(error)}")


def _close_all() -> None:
    for graph in list(graphs):
        graph.close()


# No thread survives a fork, which upstream's microservice does after loading: sessions end before.
os.register_at_fork(before=_close_all)
