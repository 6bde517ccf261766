"""The base class for models of named tensors."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from prepackaged.arrays import Array, from_lists
from prepackaged.b64 import is_b64
from prepackaged.component import Component
from prepackaged.errors import ClientError
from prepackaged.image_values import image_files_in
from prepackaged.images import Preprocessing
from prepackaged.sheets import PAYLOADS
from prepackaged.signature import SHOWN, TensorSpec
from prepackaged.tensor_answers import printable
from prepackaged.tensor_values import check_sizes, to_array

Given = Iterable[tuple[TensorSpec, Any]]
COLUMNS = ((None,), (None, 1))  # shapes of inputs with one value per row


class TensorComponent(Component):
    """The base class of a Model whose inputs and outputs are named tensors.

    `load_model` must set `self.signature` with at least one input; inputs and outputs are
    `TensorSpec`s. It may set `self.batchable = self.stacks()`. In `predict`, call `answer`, or
    `tensors` and `payload`.

    It has these parameters in addition to those of `Component`: `device`, for `choose_device`, and
    the `image_` parameters, which determine how an image becomes an array.

    >>> from prepackaged import Signature
    >>> class Sum(TensorComponent):
    ...     def load_model(self, artifact):
    ...         self.signature = Signature(inputs=(TensorSpec("x", "float32", (None, 2)),))
    ...
    ...     def predict(self, X, feature_names=None, meta=None):
    ...         return self.answer(lambda arrays: {"sum": arrays["x"].sum(axis=1)}, X)
    >>> model = Sum()
    >>> model.load()
    >>> model.predict([[1, 2], [3, 4]])
    array([3., 7.], dtype=float32)
    """

    #: The layout of images, used if the shape of the input does not determine it.
    usual_layout: ClassVar[str] = "NHWC"
    #: True if the framework, not this class, checks that axes of the same name have equal sizes.
    asks_framework_about_sizes: bool = False
    #: True if requests may contain tensors that `signature` does not name.
    takes_other_names: bool = False
    #: For a model that runs rows one by one, the outputs that have no axis for the row; None for
    #: other models.
    whole_outputs: Collection[str] | None = None

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
        """Load the model as `Component` does, and check the image parameters.

        Raises `TypeError` if `load_model` has not set `signature`, and `DeploymentError` if the
        image parameters do not fit the input.
        """
        super().load()
        if not self._inputs() and not self.takes_other_names:
            raise TypeError("load_model must set self.signature, with TensorSpecs as its inputs")
        self.preprocessing.check(self._needed())

    def tensors(self, X: Any, feature_names: Iterable[str] | None = None) -> dict[str, Array]:
        """Convert a request to one array per input, in the input's dtype and shape.

        A model with one input accepts an ndarray, lists, an image as bytes, a string, or an
        object with the input's name. A model with several inputs accepts an object that maps
        their names to lists. Both accept records, and rows with column names, if these names are
        those of the inputs. `{"b64": "..."}` may replace any string or image.

        Raises `ClientError`, with the input's name, for missing and unknown names, wrong shapes,
        values that the dtype cannot hold, and requests without rows. Unless
        `asks_framework_about_sizes`, it also raises it for unequal sizes along axes of the same
        name.
        """
        inputs = self._inputs()
        arrays = {
            spec.name: self._array(spec, each) for spec, each in self._given(X, feature_names)
        }
        rows = [len(arrays[s.name]) for s in inputs if s.name in arrays and s.is_batch]
        if rows and not any(rows):
            raise ClientError(f"expected {self._named_inputs()}, got no rows")
        if len(arrays) > 1 and not self.asks_framework_about_sizes:
            check_sizes(inputs, arrays)
        return arrays

    def answer(
        self,
        run: Callable[[dict[str, Array]], dict[str, Array]],
        X: Any,
        feature_names: Iterable[str] | None = None,
    ) -> Array | dict[str, Any]:
        """Convert the request, call `run` with the arrays, and convert its outputs.

        `run` gets arrays by input name and returns arrays by output name. Raises `ClientError` for
        data that does not fit the model; if the framework rejects the size of an image and the
        input has no fixed size, the message names the parameter that sets it.
        """
        arrays = self.tensors(X, feature_names)
        try:
            outputs = run(arrays)
        except ClientError as error:
            raise ClientError(f"{error}{self._hint(X)}") from error
        return self.payload(outputs)

    def payload(self, outputs: dict[str, Array]) -> Array | dict[str, Any]:
        """Convert outputs to the result of `predict`: an array, or a dict of lists if several.

        The server returns an array in the form of the request, and a dict as `jsonData`. The module
        `tensor_answers` converts values that JSON cannot express.
        """
        arrays = {name: printable(name, array) for name, array in outputs.items()}
        if len(arrays) == 1:
            (array,) = arrays.values()
            return np.atleast_1d(array)
        return {name: array.tolist() for name, array in arrays.items()}

    def stacks(self) -> bool:
        """Whether requests can be stacked and their answers split, as `batchable` requires.

        All first axes must be the batch, with the same name if there are several inputs, and
        there must be a single output, because several outputs become a dict. This method cannot
        find out whether rows influence each other: that is for the author to know.
        """
        outputs = self.signature.output_tensors if self.signature else ()
        inputs = [
            spec for spec in self._inputs() if not spec.optional or None in (spec.shape or ())
        ]
        is_free = all(spec.is_batch or spec.shape is None for spec in (*inputs, *outputs))
        first = {(spec.axes or (None,))[0] for spec in inputs}
        is_tied = len(inputs) <= 1 or (len(first) == 1 and None not in first)
        return is_free and is_tied and len(outputs) <= 1

    def _inputs(self) -> tuple[TensorSpec, ...]:
        return self.signature.input_tensors if self.signature else ()

    def _needed(self) -> list[TensorSpec]:
        """The inputs to which a request without names belongs."""
        inputs = self._inputs()
        return [spec for spec in inputs if not spec.optional] or list(inputs[:1])

    def _given(self, X: Any, feature_names: Iterable[str] | None) -> Given:
        needed, names = self._needed(), list(feature_names or ())
        is_value = is_b64(X) and len(needed) == 1 and needed[0].name not in X
        if isinstance(X, dict) and not is_value:
            return self._named(X)
        if _are_records(X):
            return self._named(_columns_of_records(X))
        if len(needed) == 1:
            is_one = needed[0].shape is None and needed[0].is_text and isinstance(X, str | bytes)
            return [(needed[0], [X] if is_one else X)]
        if names and all(spec.shape in COLUMNS for spec in needed):
            return self._named(_columns_of_rows(X, names))
        raise ClientError(
            f"expected an object with {self._named_inputs()}, by name, got {_kind(X)}"
        )

    def _named(self, X: Mapping[str, Any]) -> Given:
        specs = {spec.name: spec for spec in self._inputs()}
        sent = {name: each for name, each in X.items() if each is not None or name not in specs
                or not specs[name].optional}  # fmt: skip
        missing = [spec.name for spec in specs.values() if not spec.optional and spec.name not in X]
        unknown = [name for name in sent if name not in specs and not self.takes_other_names]
        if missing or unknown or not sent:
            problems = {"missing": missing, "unknown": unknown}
            wrong = "; ".join(f"{what}: {_listed(n)}" for what, n in problems.items() if n)
            wrong = wrong or "got none of them"
            raise ClientError(f"expected {self._named_inputs()}, by name; {wrong}")
        known = {name: spec for name, spec in specs.items() if name in sent}
        others = {name: TensorSpec(name, None) for name in sent if name not in specs}
        return [(spec, sent[name]) for name, spec in (known | others).items()]

    def _array(self, spec: TensorSpec, value: Any) -> Array:
        files = [] if spec.is_text else image_files_in(value)
        return self.preprocessing.batch(files, spec) if files else to_array(spec, value)

    def _hint(self, X: Any) -> str:
        needed = self._needed()
        sent = X.values() if isinstance(X, dict) and not is_b64(X) else [X]
        if any(map(image_files_in, sent)) and self.preprocessing.leaves_size_free(needed):
            return (
                "; its images may need another size: resize them, or have the parameter image_size"
                " set, such as 640x640"
            )
        return ""

    def _named_inputs(self) -> str:
        return _listed([f"{spec.name!r} ({spec.expected()})" for spec in self._needed()])


def _are_records(X: Any) -> bool:
    is_list = isinstance(X, list) and bool(X)
    return is_list and all(isinstance(row, dict) and not is_b64(row) for row in X)


def _columns_of_records(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    for number, record in enumerate(records):
        if record.keys() != records[0].keys():
            differing = _listed(sorted(record.keys() ^ records[0].keys()))
            raise ClientError(f"record {number} and record 0 differ in their names: {differing}")
    return {name: [record[name] for record in records] for name in records[0]}


def _columns_of_rows(rows: Any, names: Sequence[str]) -> dict[str, Any]:
    table = rows if isinstance(rows, np.ndarray) else from_lists(rows)
    if table.ndim != 2 or table.shape[1] != len(names):
        raise ClientError(
            f"expected rows of {len(names)} values, one for each of the names, got an array of"
            f" shape {list(table.shape)}"
        )
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ClientError(f"expected each name once, got twice: {_listed(twice)}")
    return dict(zip(names, table.T, strict=True))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more


def _kind(X: Any) -> str:
    if isinstance(X, np.ndarray):
        return f"an array of shape {list(X.shape)}"
    return PAYLOADS.get(type(X), "a list")
