"""A compiled TensorFlow function, with named numpy arrays on both sides."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from prepackaged import ClientError, ModelError, Signature, TensorSpec, describe
from prepackaged.arrays import Array

logger = logging.getLogger(__name__)

# What numpy has in place of TensorFlow's own dtypes.
STAND_INS = {tf.string: bytes, tf.bfloat16: np.float32}


@dataclass(frozen=True)
class Compiled:
    """A function that was traced once, for batches of any size.

    `function` takes a list of tensors in the order of `inputs` and gives tensors by name, which
    `outputs` describes. `owner` has the variables and must live as long as the function.
    """

    function: Callable[[list[Any]], Mapping[str, Any]]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    owner: Any

    @cached_property
    def is_run_row_by_row(self) -> bool:
        """Whether a batch is fixed at one row, so that the rows of a request run in turn."""
        starts = [each.shape[:1].as_list() for each in self.inputs.values()]
        ends = [each.shape[:1].as_list() for each in self.outputs.values() if each.shape.rank != 0]
        fits = len(ends) == len(self.outputs) and all(end in ([1], [None]) for end in ends)
        return fits and all(start == [1] for start in starts)

    def signature(self) -> Signature:
        """What requests and answers bring, in batches of any size where rows run in turn."""
        inputs = tuple(self._spec(name, each) for name, each in self.inputs.items())
        outputs = tuple(self._spec(name, each) for name, each in self.outputs.items())
        return Signature(inputs, outputs).with_source("model")

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; float32 for TensorFlow's bfloat16, bytes for its strings.

        Raises `ClientError` for values that the function's operations refuse, such as an index
        out of range, and `ModelError` for any other failure.
        """
        try:
            if self.is_run_row_by_row and len(next(iter(arrays.values()))) > 1:
                return self._row_by_row(arrays)
            return self._run(arrays)
        except tf.errors.InvalidArgumentError as error:
            raise ClientError(f"the model refuses the data: {reason(error)}") from error
        except Exception as error:
            logger.exception("The model failed")
            raise ModelError(f"the model failed: {reason(error)}") from error

    def try_out(self) -> None:
        """Run once on zeros, so that the first request does not pay for what is made only once.

        A failure is a warning in the log and no more: a model may have good reasons to refuse
        zeros, empty texts, or a size of 1 where sizes are free.
        """
        try:
            self._run({spec.name: _zeros(spec) for spec in self.signature().input_tensors})
        except Exception as error:
            logger.warning("The model cannot be tried out on zeros: %s", reason(error))

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        tensors = [tf.constant(arrays[name], each.dtype) for name, each in self.inputs.items()]
        return {name: _array(each) for name, each in self.function(tensors).items()}

    def _row_by_row(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        rows = range(len(next(iter(arrays.values()))))
        answers = [self._run({name: each[[row]] for name, each in arrays.items()}) for row in rows]
        return {name: np.concatenate([each[name] for each in answers]) for name in self.outputs}

    def _spec(self, name: str, wanted: Any) -> TensorSpec:
        dtype = STAND_INS.get(wanted.dtype, wanted.dtype.as_numpy_dtype)
        shape = None if wanted.shape.rank is None else wanted.shape.as_list()
        if shape and self.is_run_row_by_row:
            shape[0] = None
        return TensorSpec(name, dtype, shape)


def reason(error: BaseException) -> str:
    """What happened, without the graph and the Python lines that TensorFlow puts around it."""
    told, bracket, _ = str(getattr(error, "message", error)).partition("[[{{")
    if not bracket:
        return describe(error)
    lines = [re.sub(r"^{{.*?}}", "", line).strip() for line in told.splitlines()]
    return f"{type(error).__name__}: {next(filter(None, reversed(lines)), '')}"


def _zeros(spec: TensorSpec) -> Array:
    sizes = [1 if size is None else size for size in spec.shape or (None,)]
    return np.full(sizes, "", object) if spec.is_text else np.zeros(sizes, spec.dtype)


def _array(tensor: Any) -> Array:
    array: Array = np.asarray(tensor.numpy())
    return array.astype(np.float32) if tensor.dtype == tf.bfloat16 else array
