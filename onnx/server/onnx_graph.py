"""Run an onnxruntime session with numpy arrays by name."""

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import numpy as np
import onnx_bfloat16 as bfloat16
import onnxruntime
from onnx_examples import known_values
from onnx_session import reason
from onnx_specs import output, replaceable, required, rows_of_one, with_one_batch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from prepackaged import ClientError, DeploymentError, ModelError, Signature, TensorSpec
from prepackaged.arrays import Array
from prepackaged.example_inputs import first_answered
from prepackaged.one_batch import blank, have_one_batch
from prepackaged.row_by_row import joined, run_by_row, whole
from prepackaged.tensor_values import differing_sizes

logger = logging.getLogger(__name__)

REFUSALS = (InvalidArgument, Fail, RuntimeException)  # the last if text is not a number

MACHINE = re.compile("allocat|failure", re.IGNORECASE)  # out of memory, or `CUDA failure 719`
# Exceptions carry the message; onnxruntime's log would only repeat it.
QUIETLY = onnxruntime.RunOptions()
QUIETLY.log_severity_level = 4  # only fatal errors

graphs: WeakSet["Graph"] = WeakSet()


class Graph:
    """A model's graph; call it with an array for each input by name.

    `inputs` and `outputs` are the `TensorSpec`s of its tensors. If the graph fixes the batch at 1,
    requests may have any number of rows, which run one by one. `labels` are the classes of outputs
    that are lists of `{class: score}`, as converters of classifiers create them; they are known
    after the first run.
    """

    def __init__(
        self,
        open_session: Callable[[], onnxruntime.InferenceSession],
        wanted: Sequence[str] = (),
        unranked: Collection[str] = (),
        states: Collection[str] = (),
    ) -> None:
        """Open the graph to return the `wanted` outputs, or all if the list is empty.

        Raises `DeploymentError` for unknown outputs, and for inputs and outputs that no request or
        response can hold.
        """
        self._open = open_session
        self._session: onnxruntime.InferenceSession | None = None
        self.labels: dict[str, list[str]] = {}
        nodes = self.session.get_inputs()
        answers = _chosen(self.session.get_outputs(), wanted)
        self._by_row = rows_of_one(nodes, unranked, states)
        one_run = [output(node) for node in answers]
        self._shapes = {spec.name: spec.shape for spec in one_run}
        self._dtypes = {spec.name: spec.dtype for spec in one_run}
        types = {node.name: node.type for node in (*nodes, *answers)}
        self._bfloat16s = {name for name, kind in types.items() if bfloat16.NAME in kind}
        self.inputs = (
            *(required(node, self._by_row, unranked) for node in nodes),
            *replaceable(self.session.get_overridable_initializers()),
        )
        self.outputs = tuple(output(node, is_by_row=self.is_run_row_by_row) for node in answers)
        graphs.add(self)

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The session, opened if necessary."""
        return self._session or self.open()

    def open(self) -> onnxruntime.InferenceSession:
        """Open the session, unless it is open."""
        if self._session is None:
            self._session = self._open()
        return self._session

    def close(self) -> None:
        """Close the session and end its threads; the next use opens it again."""
        self._session = None

    @property
    def is_run_row_by_row(self) -> bool:
        """Whether the batch is fixed at 1."""
        return bool(self._by_row)

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph; returns an array for each output by name.

        Raises `ClientError` if the graph refuses the values, `ModelError` if it fails.
        """
        return run_by_row(self._run, dict(arrays), self._by_row, self._shapes)

    def try_out(self) -> None:
        """Run the graph once on zeros, because the first run is slow and reveals the labels.

        Free axes have size 1. If it is unknown whether the first axes of several inputs are one
        batch, a few more runs find out. A failure is only logged.
        """
        needed = [spec for spec in self.inputs if not spec.optional]
        arrays = {spec.name: blank(spec) for spec in needed}
        try:
            first = self(arrays)
            # An empty shape in the file means a scalar or an unknown shape.
            self._shapes |= {name: () for name, array in first.items() if not array.ndim}
        except (ClientError, ModelError) as error:
            logger.info("Trial run on zeros failed, with free axes of size 1: %s", error)
        self.outputs = tuple(map(self._labelled, self.outputs))
        self._shapes |= {name: (1, len(labels)) for name, labels in self.labels.items()}
        is_unsaid = len(needed) > 1 and all(spec.axes[:1] == (None,) for spec in needed)
        if is_unsaid and have_one_batch(self._outputs, needed):
            self.inputs = tuple(
                spec if spec.optional else with_one_batch(spec) for spec in self.inputs
            )

    def whole_outputs(self) -> frozenset[str] | None:
        """The outputs without an axis for the row if rows run one by one, else None."""
        return whole(self._shapes) if self.is_run_row_by_row else None

    def signature(self, categories: Sequence[str | int] = ()) -> Signature:
        """Inputs and outputs of the graph, class names if exactly one output has labels.

        Its example are inputs that the graph answers; `categories` are those of its encoders.
        """
        labels = [*self.labels.values()]
        class_names = tuple(labels[0]) if len(labels) == 1 else None
        signature = Signature(self.inputs, self.outputs, class_names).with_source("model")
        known = [*known_values(self.inputs, categories)]
        return replace(signature, example=first_answered(self._outputs, self.inputs, known))

    def _labelled(self, spec: TensorSpec) -> TensorSpec:
        """The output with a column for each of its labels."""
        if spec.name not in self.labels:
            return spec
        return TensorSpec(spec.name, spec.dtype, (None, len(self.labels[spec.name])))

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return self._outputs(arrays)
        except ClientError:
            raise
        except Exception as error:
            raise _blamed(error, differing_sizes(self.inputs, arrays)) from error

    def _outputs(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        names = [spec.name for spec in self.outputs]
        values = self._values(names, arrays)
        return {name: self._array(name, value) for name, value in zip(names, values, strict=True)}

    def _values(self, names: list[str], arrays: Mapping[str, Array]) -> list[Any]:
        if not self._bfloat16s:
            return list(self.session.run(names, arrays, QUIETLY))
        given = {
            name: bfloat16.from_float32(name, array)
            if name in self._bfloat16s
            else onnxruntime.OrtValue.ortvalue_from_numpy(array)
            for name, array in arrays.items()
        }
        return list(map(bfloat16.to_array, self.session.run_with_ort_values(names, given, QUIETLY)))

    def _array(self, name: str, value: Any) -> Array:
        """Convert an output of any onnxruntime type to an array; store its labels if it has any."""
        if isinstance(value, np.ndarray):
            return value
        if isinstance(value, list) and value and isinstance(value[0], dict):
            self.labels[name] = [str(label) for label in value[0]]
            return np.array([list(scores.values()) for scores in value], self._dtypes[name])
        return joined(value or [], None)  # a sequence of tensors


def _chosen(nodes: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    by_name = {node.name: node for node in nodes}
    if unknown := [name for name in wanted if name not in by_name]:
        raise DeploymentError(
            f"the parameter outputs names {', '.join(unknown)}; the model has {', '.join(by_name)}"
        )
    return [by_name[name] for name in wanted or by_name]


def _blamed(error: Exception, differing: str) -> ClientError | ModelError:
    """The error for a failed run: `ClientError` if onnxruntime refuses the data.

    It is `ModelError` if memory or a GPU failed, and for other exceptions.

    `differing` names inputs that differ in the size of a shared axis, which onnxruntime sometimes
    accepts; it is added to the message.
    """
    if isinstance(error, REFUSALS) and not MACHINE.search(reason(error)):
        more = f"; expected {differing}" if differing else ""
        return ClientError(f"the model refuses the data: {reason(error)}{more}")
    logger.error("The model failed", exc_info=error)
    return ModelError(f"the model failed: {reason(error)}")


def _close_all() -> None:
    for graph in list(graphs):
        graph.close()


# Upstream's microservice forks after loading, and threads do not survive a fork: sessions close.
os.register_at_fork(before=_close_all)
