"""The base class for models of named tensors: requests to arrays, arrays to answers."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from prepackaged.arrays import Array
from prepackaged.component import Component
from prepackaged.errors import ClientError, ModelError
from prepackaged.images import Preprocessing
from prepackaged.signature import TensorSpec
from prepackaged.tables import PAYLOADS, Columns

Given = Iterable[tuple[TensorSpec, Any]]
COLUMNS = ((None,), (None, 1))  # shapes of inputs that take one value a row


class TensorComponent(Component):
    """A model whose inputs and outputs are named tensors.

    `load_model` of a subclass sets `input_specs` (at least one), `output_specs` (what is known
    of them) and `batchable`, for which there is `stacks`. Its `predict` asks `tensors` for what
    the framework is to be given, and `payload` for what to return.

    Parameters beside those of `Component`: `device`, for `choose_device`, and those of
    `Preprocessing`, which say how a picture in `binData` becomes an array.
    """

    #: The layout of pictures for a model that does not tell it.
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
        self.input_specs: list[TensorSpec] = []
        self.output_specs: list[TensorSpec] = []

    def load(self) -> None:
        """Load the model as `Component` does, and see whether the image parameters fit it."""
        super().load()
        self.preprocessing.check(self._needed())

    def tensors(self, X: Any, feature_names: Iterable[str] | None = None) -> dict[str, Array]:
        """What a request holds, as an array for each input, in the input's dtype and shape.

        A model of one input takes an ndarray, lists, a picture as bytes, a string, or an object
        with its name. A model of several takes an object of lists by name; where each of them
        takes one value a row, also rows or records whose columns are named after them.

        Raises `ClientError` that names the input, what was expected and what came: a name that
        is missing or unknown, another shape, values that the dtype cannot hold, and unequal
        numbers of rows.
        """
        arrays = {spec.name: spec.array(value) for spec, value in self._given(X, feature_names)}
        if len(arrays) > 1:
            self._check_rows(arrays)
        return arrays

    def payload(self, outputs: dict[str, Array]) -> Array | dict[str, Any]:
        """What predict is to return: the array of a single output, lists by name of several.

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
        specs = [*self.input_specs, *self.output_specs]
        is_free = all(spec.is_batch or spec.shape is None for spec in specs)
        return is_free and len(self.output_specs) <= 1

    def describe_tensors(self) -> dict[str, Any]:
        """`inputs` and `outputs` for `describe_model`: each tensor's name, datatype and shape."""
        return {
            "inputs": [spec.describe() for spec in self.input_specs],
            "outputs": [spec.describe() for spec in self.output_specs],
        }

    def describe_model(self) -> dict[str, Any]:
        """The model's tensors; a subclass adds what else it knows."""
        return self.describe_tensors()

    def _given(self, X: Any, feature_names: Iterable[str] | None) -> Given:
        needed = self._needed()
        if isinstance(X, dict):
            return self._named(X)
        if len(needed) == 1:
            return [(needed[0], self._single(needed[0], X))]
        if all(spec.shape in COLUMNS for spec in needed) and (feature_names or _are_records(X)):
            table = Columns(tuple(spec.name for spec in needed)).array(X, feature_names)
            return zip(needed, table.T, strict=True)
        raise ClientError(f"expected jsonData with {self._inputs()}, by name, got {_kind(X)}")

    def _needed(self) -> list[TensorSpec]:
        """The inputs that a request without names is for."""
        return [spec for spec in self.input_specs if not spec.optional] or self.input_specs

    def _single(self, spec: TensorSpec, X: Any) -> Any:
        takes_bytes = spec.dtype == np.dtype(bytes)
        if (isinstance(X, str) and spec.is_text) or (isinstance(X, bytes) and takes_bytes):
            return np.full((1,) * len(spec.shape or (None,)), X, dtype=object)
        if isinstance(X, bytes):
            return self.preprocessing.array(X, spec)
        return X

    def _named(self, X: dict[str, Any]) -> Given:
        known = {spec.name for spec in self.input_specs}
        missing = [spec.name for spec in self._needed() if spec.name not in X]
        unknown = [name for name in X if name not in known]
        if missing or unknown:
            problems = {"missing": missing, "unknown": unknown}
            wrong = "; ".join(f"{what}: {', '.join(n)}" for what, n in problems.items() if n)
            raise ClientError(f"expected {self._inputs()}, by name; {wrong}")
        return [(spec, X[spec.name]) for spec in self.input_specs if spec.name in X]

    def _inputs(self) -> str:
        return ", ".join(f"{spec.name!r} ({spec.expected()})" for spec in self.input_specs)

    def _check_rows(self, arrays: dict[str, Array]) -> None:
        batch = [spec.name for spec in self.input_specs if spec.is_batch and spec.name in arrays]
        if len({len(arrays[name]) for name in batch}) > 1:
            counts = ", ".join(f"{name!r} has {len(arrays[name])}" for name in batch)
            raise ClientError(f"expected as many rows in every input; {counts}")


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
