"""Call a compiled TensorFlow function with numpy arrays by name."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import tensorflow as tf
from dtypes import check, is_numpys, stand_in, to_array, to_tensor
from state import changes, restored

from prepackaged import (
    ClientError,
    DeploymentError,
    ModelError,
    Signature,
    TensorSpec,
    describe,
)
from prepackaged.arrays import Array
from prepackaged.example_inputs import first_answered
from prepackaged.one_batch import blank, have_one_batch
from prepackaged.row_by_row import run_by_row, whole
from prepackaged.signature import FreeShape

logger = logging.getLogger(__name__)

# TensorFlow's exceptions for data that operations refuse; the last one is raised if the message
# quotes bytes of the request that are not UTF-8.
REFUSALS = (tf.errors.InvalidArgumentError, tf.errors.DataLossError, UnicodeDecodeError)
PREFIX = "Graph execution error:"


@dataclass(frozen=True)
class Compiled:
    """A function that was traced once, for batches of any size.

    `function` takes a list of tensors in the order of `inputs` and returns tensors by name, as
    described by `outputs`. `traced` is TensorFlow's function and `owner` has its variables; a
    reference to both is kept as long as the function is used. `has_one_batch` is true if the first
    axes of all inputs are the same batch.
    """

    function: Callable[[list[Any]], Mapping[str, Any]]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    traced: Any
    owner: Any
    has_one_batch: bool = False

    @cached_property
    def by_row(self) -> frozenset[str]:
        """The inputs whose batch is fixed at 1, so that the rows of a request run one by one.

        Empty if the first axis of any input is free.
        """
        shapes = {
            name: each.shape.as_list() for name, each in self.inputs.items() if each.shape.rank
        }
        if any(shape[0] is None for shape in shapes.values()):
            return frozenset()
        return frozenset(name for name, shape in shapes.items() if shape[0] == 1)

    def stacks(self) -> bool:
        """Whether requests may share a call: not if rows run one by one or calls have side effects.

        Checking whether requests may share a call takes further calls, which would have them too.
        """
        return not self.by_row and not changes(self.traced)

    def whole_outputs(self) -> frozenset[str] | None:
        """The outputs without an axis for the row if rows run one by one, else None."""
        return whole(self.shapes) if self.by_row else None

    def signature(self) -> Signature:
        """Inputs and outputs of requests, with free batches if rows run one by one.

        Raises `DeploymentError` for dtypes that no request or answer can hold.
        """
        inputs = tuple(self._input(name, each) for name, each in self.inputs.items())
        outputs = tuple(self._output(name, each) for name, each in self.outputs.items())
        return Signature(inputs, outputs).with_source("model")

    @cached_property
    def foreign(self) -> dict[str, Any]:
        """The dtypes of inputs that numpy lacks; their stand-ins may hold larger numbers."""
        dtypes = {name: each.dtype for name, each in self.inputs.items()}
        return {name: dtype for name, dtype in dtypes.items() if not is_numpys(dtype)}

    @cached_property
    def shapes(self) -> dict[str, FreeShape | None]:
        """The shapes of the outputs of one call."""
        return {name: _sizes(each) for name, each in self.outputs.items()}

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the function; returns arrays by output name, bfloat16 as float32, strings as bytes.

        Raises `ClientError` for values that the function's operations refuse, such as an index
        out of range, or that are out of an input's range, and `ModelError` for any other failure.
        """
        for name, dtype in self.foreign.items():
            check(name, arrays[name], dtype)
        try:
            return run_by_row(self._run, dict(arrays), self.by_row, self.shapes)
        except ClientError:
            raise
        except REFUSALS as error:
            raise ClientError(f"the model refuses the data: {reason(error)}") from error
        except Exception as error:
            logger.exception("The model failed")
            raise ModelError(f"the model failed: {reason(error)}") from error

    def tried(self) -> "Compiled":
        """Run the function once on zeros, so that the first request is fast, and return it.

        The model is unchanged afterwards. A failure is only logged, because a model may have good
        reasons to refuse zeros, empty texts, or a size of 1. If it is unknown whether the first
        axes of several inputs are one batch, more runs find out, and the result records it.
        """
        specs = self.signature().input_tensors
        try:
            with restored(self.traced):
                self._run({spec.name: blank(spec) for spec in specs})
                is_unsaid = len(specs) > 1 and not self.has_one_batch
                return (
                    replace(self, has_one_batch=have_one_batch(self._run, specs))
                    if is_unsaid
                    else self
                )
        except Exception as error:
            logger.info(
                "Trial run on zeros failed; the first request will be slow: %s",
                reason(error),
            )
        return self

    def example(self) -> dict[str, Array]:
        """Inputs of one row that the function answers; empty if it would change or answers none."""
        try:
            with restored(self.traced):
                return first_answered(self._run, self.signature().input_tensors)
        except ValueError:  # its effects cannot be undone
            return {}

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        tensors = [to_tensor(arrays[name], each.dtype) for name, each in self.inputs.items()]
        return {name: to_array(each) for name, each in self.function(tensors).items()}

    def _input(self, name: str, wanted: Any) -> TensorSpec:
        spec = _spec(name, wanted, "input", "request")
        shape = (None, *(spec.shape or ())[1:]) if name in self.by_row else spec.shape
        is_tied = self.has_one_batch or len(self.inputs) == 1
        return TensorSpec(
            name, spec.dtype, shape, axes=None if is_tied else (None,) * len(shape or ())
        )

    def _output(self, name: str, wanted: Any) -> TensorSpec:
        spec = _spec(name, wanted, "output", "answer")
        if not self.by_row or spec.shape is None:
            return spec
        has_rows = spec.shape[:1] in ((1,), ())
        shape = (None, *spec.shape[1:]) if has_rows else None
        return TensorSpec(name, spec.dtype, shape, ragged=spec.ragged)


def _spec(name: str, wanted: Any, what: str, message: str) -> TensorSpec:
    """Convert TensorFlow's description of a tensor; its dtype becomes one that numpy and JSON have.

    A complex tensor gets a last axis of size 2. Raises `DeploymentError` for a resource or variant.
    """
    dtype, shape = wanted.dtype, _sizes(wanted)
    if dtype.name in ("resource", "variant"):
        raise DeploymentError(
            f"{what} {name!r} is a {dtype.name}, which no {message} can hold: save the model with a"
            " signature of tensors"
        )
    if dtype.is_complex and shape is not None:
        shape = (*shape, 2)
    return TensorSpec(name, stand_in(dtype), shape, ragged=isinstance(wanted, tf.RaggedTensorSpec))


def _sizes(wanted: Any) -> FreeShape | None:
    return None if wanted.shape.rank is None else tuple(wanted.shape.as_list())


def reason(error: BaseException) -> str:
    """The error's type and message, without the graph and Python lines that TensorFlow adds."""
    if isinstance(error, UnicodeDecodeError):  # from a message that quotes the request's bytes
        told, name = error.object.decode(errors="backslashreplace"), "InvalidArgumentError"
    else:
        told, name = str(getattr(error, "message", error)), type(error).__name__
    told, bracket, _ = told.partition("[[{{")
    if not (bracket or told.startswith(PREFIX)):
        return describe(error)
    told = told.removeprefix(PREFIX).partition(" [Op:")[0]
    lines = [re.sub(r"^{{.*?}}", "", line).strip() for line in told.splitlines()]
    place = -1 if bracket else 0  # without a graph, later lines may be bytes of the request
    return f"{name}: {([*filter(None, lines)] or [''])[place]}"
