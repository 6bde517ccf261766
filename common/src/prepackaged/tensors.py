"""The base class for models of named tensors: requests to arrays, arrays to answers."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from prepackaged.arrays import Array
from prepackaged.component import Component
from prepackaged.errors import ClientError, ModelError
from prepackaged.images import Preprocessing
from prepackaged.sheets import PAYLOADS
from prepackaged.signature import TensorSpec
from prepackaged.tables import Columns
from prepackaged.tensor_values import check_sizes, to_array

Given = Iterable[tuple[TensorSpec, Any]]
COLUMNS = ((None,), (None, 1))  # shapes of inputs that take one value a row


class TensorComponent(Component):
    """A model whose inputs and outputs are named tensors.

    `load_model` of a subclass sets `signature`, whose inputs (at least one) and outputs (as far
    as they are known) are `TensorSpec`s, and `batchable`, for which there is `stacks`. Its
    `predict` gets the framework's arrays from `tensors`, and what to return from `payload`.

    Parameters beside those of `Component`: `device`, for `choose_device`, and those of
    `Preprocessing`, which say how an image in `binData` becomes an array.
    """

    #: The layout of images for a model whose input's shape does not show it.
    usual_layout: ClassVar[str] = "NHWC"

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        device: str | None = None,
        image_mode: str | None = None,
        image_size: str | None = None,
        image_resampling: str | None = None,
        image_scale: str | float | None = None,
        image_mean: str | float | None = None,
        image_std: str | float | None = None,
        image_layout: str | None = None,
    ) -> None:
        super().__init__(model_uri, model_file)
        self.device = device
        self.preprocessing = Preprocessing(
            image_mode, image_size, image_resampling, image_scale, image_mean, image_std,
            image_layout, usual_layout=self.usual_layout,
        )  # fmt: skip

    def load(self) -> None:
        """Load the model as `Component` does, and check that the image parameters fit it.

        Raises `TypeError` where `load_model` has not set `signature`, and `DeploymentError` for
        image parameters that do not fit the input.
        """
        super().load()
        if not self._inputs():
            raise TypeError("load_model must set self.signature, with TensorSpecs as its inputs")
        self.preprocessing.check(self._needed())

    def tensors(self, X: Any, feature_names: Iterable[str] | None = None) -> dict[str, Array]:
        """Convert a request to an array for each input, in the input's dtype and shape.

        A model of one input takes an ndarray, lists, an image as bytes, a string, or an object
        with its name. A model of several takes an object of lists by name; where each of them
        takes one value a row, also rows or records whose columns are named after them.

        Raises `ClientError` that names the input, what was expected and what it got: a name that
        is missing or unknown, another shape, values that the dtype cannot hold, and unequal
        sizes of an axis that inputs share, such as the number of rows.
        """
        arrays = {spec.name: to_array(spec, value) for spec, value in self._given(X, feature_names)}
        if len(arrays) > 1:
            check_sizes(self._inputs(), arrays)
        return arrays

    def payload(self, outputs: dict[str, Array]) -> Array | dict[str, Any]:
        """Convert outputs to what `predict` returns: one array, or lists by name of several.

        Microservices answer the first in the request's kind, the second as `jsonData`.
        """
        arrays = {name: _printable(name, array) for name, array in outputs.items()}
        if len(arrays) == 1:
            (array,) = arrays.values()
            return np.atleast_1d(array)
        return {name: array.tolist() for name, array in arrays.items()}

    def stacks(self) -> bool:
        """Whether requests can be stacked and answers split, for `batchable`.

        That takes first axes that are the batch, and a single output: several are answered as
        an object, which nobody can split. Whether rows influence each other, only the author
        of the model knows.
        """
        outputs = self.signature.output_tensors if self.signature else ()
        is_free = all(spec.is_batch or spec.shape is None for spec in (*self._inputs(), *outputs))
        return is_free and len(outputs) <= 1

    def _inputs(self) -> tuple[TensorSpec, ...]:
        return self.signature.input_tensors if self.signature else ()

    def _given(self, X: Any, feature_names: Iterable[str] | None) -> Given:
        needed = self._needed()
        if isinstance(X, dict):
            return self._named(X)
        if len(needed) == 1:
            return [(needed[0], self._single(needed[0], X))]
        if all(spec.shape in COLUMNS for spec in needed) and (feature_names or _are_records(X)):
            table = Columns(tuple(spec.name for spec in needed)).array(X, feature_names)
            return zip(needed, table.T, strict=True)
        raise ClientError(f"expected jsonData with {self._named_inputs()}, by name, got {_kind(X)}")

    def _needed(self) -> list[TensorSpec]:
        """The inputs that a request without names is for."""
        inputs = self._inputs()
        return [spec for spec in inputs if not spec.optional] or list(inputs)

    def _single(self, spec: TensorSpec, X: Any) -> Any:
        takes_bytes = spec.dtype == np.dtype(bytes)
        if (isinstance(X, str) and spec.is_text) or (isinstance(X, bytes) and takes_bytes):
            return np.full((1,) * len(spec.shape or (None,)), X, dtype=object)
        if isinstance(X, bytes):
            return self.preprocessing.array(X, spec)
        return X

    def _named(self, X: dict[str, Any]) -> Given:
        known = {spec.name for spec in self._inputs()}
        missing = [spec.name for spec in self._needed() if spec.name not in X]
        unknown = [name for name in X if name not in known]
        if missing or unknown:
            problems = {"missing": missing, "unknown": unknown}
            wrong = "; ".join(f"{what}: {', '.join(n)}" for what, n in problems.items() if n)
            raise ClientError(f"expected {self._named_inputs()}, by name; {wrong}")
        return [(spec, X[spec.name]) for spec in self._inputs() if spec.name in X]

    def _named_inputs(self) -> str:
        return ", ".join(f"{spec.name!r} ({spec.expected()})" for spec in self._inputs())


def _are_records(X: Any) -> bool:
    return isinstance(X, list) and all(isinstance(row, dict) for row in X)


def _kind(X: Any) -> str:
    if isinstance(X, np.ndarray):
        return f"an array of shape {list(X.shape)}"
    return PAYLOADS.get(type(X), "a list")


def _printable(name: str, array: Array) -> Array:
    """Text as str, where a framework has it as bytes."""
    if array.dtype.kind not in "OS":
        return array
    try:
        texts = [each.decode() if isinstance(each, bytes) else each for each in array.flat]
    except UnicodeDecodeError as error:
        raise ModelError(f"output {name!r} has bytes that are no text: {error}") from error
    decoded = np.empty(array.size, dtype=object)
    decoded[:] = texts
    return decoded.reshape(array.shape)
