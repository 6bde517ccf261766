"""Convert a model's result to named tensors, and select the requested ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prepackaged.arrays import Array, list_by_row, numeric_if_possible
from prepackaged.b64 import decode_b64, is_b64
from prepackaged.errors import ClientError, ModelError
from prepackaged.methods import asked_method
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.json_reading import read_json
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.results import from_result
from prepackaged.server.protocols.v2.datatypes import BYTES, Datatype, datatype_of
from prepackaged.server.protocols.v2.requests import Asked, InferRequest
from prepackaged.server.protocols.v2.tensors import cut_name
from prepackaged.signature import Signature, TensorSpec, declared_signature

#: The names that KServe's servers and MLServer's codecs use for an output without a name.
ONLY = "output-0"
ONLY_TOO = "output-1"
SHOWN = 20  # the most names in an error message


@dataclass(slots=True)
class Output:
    """A tensor of a response; `asked` is its entry in the request, None if there is none.

    The array of an output of BYTES has str and bytes objects, and None for missing values.
    """

    name: str
    datatype: Datatype
    array: Array
    asked: Asked | None = None

    @property
    def is_base64(self) -> bool:
        """Whether the elements of BYTES are returned in Base64."""
        return self.asked is not None and self.asked.is_base64


class Outputs:
    """The outputs of one model.

    The outputs of an estimator are its methods, of which a request may choose several. The outputs
    of other models are the tensors in the signature or, without one, the result of `predict`.
    """

    def __init__(self, model: Any) -> None:
        self._known = known = declared_signature(model) or Signature()
        self._methods = known.methods
        self._specs = {spec.name: spec for spec in known.output_tensors if spec.name}
        self.default = self._default(known)
        self._aliases = {ONLY, ONLY_TOO} if len(self._specs) < 2 else set()
        self._names_of_one = {*self._aliases, *self._methods, *self._specs}
        self._class_names = known.class_names

    def _default(self, known: Signature) -> str:
        if known.method:
            return known.method
        return next(iter(self._specs)) if len(self._specs) == 1 else ONLY

    def methods(self, request: InferRequest) -> list[str | None]:
        """The methods that a request chooses, each once; None is the default method.

        Raises `ClientError` for an unknown output if the model's outputs are known, and for an
        unknown method.
        """
        usual = self._asked_method(request.meta.get("tags")) if request.meta else None
        if not request.outputs:
            chosen = [usual]
        elif len(request.outputs) == 1:
            chosen = [self._method(request.outputs[0], usual)]
        else:
            chosen = list(dict.fromkeys(self._method(each, usual) for each in request.outputs))
        if usual is not None and usual in chosen:
            asked_method(request.meta, self._known)
        return chosen

    def _asked_method(self, tags: Mapping[str, Any] | None) -> str | None:
        method = (tags or {}).get("method") if self._methods else None
        return None if method is None else str(method)

    def _method(self, asked: Asked, usual: str | None) -> str | None:
        name = asked.name
        if name in self._aliases:
            return usual
        if self._methods and name not in self._methods:
            raise self.unknown(name, [*self._methods, *sorted(self._aliases)])
        if self._specs and name not in self._specs:
            raise self.unknown(name, self._specs)
        is_usual = name == self.default and usual is None
        return name if self._methods and not is_usual else None

    def unknown(self, name: str, known: Sequence[str] | Mapping[str, Any]) -> ClientError:
        """The error for an unknown output."""
        names = [cut_name(each) for each in known][:SHOWN]
        more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
        return ClientError(f"output {cut_name(name)!r}: expected one of {', '.join(names)}{more}")

    def selected(
        self, request: InferRequest, predictions: Mapping[str | None, Prediction]
    ) -> list[Output]:
        """The requested outputs, in the request's order, from the predictions by method."""
        if not request.outputs:
            ((method, only),) = predictions.items()
            return [
                self._output(name, value)
                for name, value in named(only.value, method or self.default).items()
            ]
        usual = self._asked_method(request.meta.get("tags")) if request.meta else None
        return [
            self._selected(asked, predictions[self._method(asked, usual)])
            for asked in request.outputs
        ]

    def _selected(self, asked: Asked, prediction: Prediction) -> Output:
        values, name = named(prediction.value, ONLY), asked.name
        if name not in values and not (len(values) == 1 and name in self._names_of_one):
            aliases = self._aliases if len(values) == 1 else ()
            raise self.unknown(name, list(dict.fromkeys((*values, *sorted(aliases)))))
        output = self._output(name, values[name] if name in values else next(iter(values.values())))
        output.asked = asked
        return self._classified(output, asked.classes) if asked.classes else output

    def _output(self, name: str, value: Any) -> Output:
        array = array_of(value, self._specs.get(name))
        datatype = datatype_of(array)
        return Output(name, datatype, array)

    def _classified(self, output: Output, count: int) -> Output:
        """The largest `count` values of each row as BYTES "value:index[:label]" (Triton's form)."""
        scores = output.array
        if output.datatype is BYTES or scores.ndim != 2:
            raise ClientError(
                f"output {cut_name(output.name)!r}: expected classification of rows of scores,"
                f" got {output.datatype.name} of shape {list(scores.shape)}"
            )
        best = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :count]
        labels = self._labels(scores.shape[1])
        texts = [
            f"{scores[row, place]!s}:{place}{labels[place]}"
            for row, places in enumerate(best.tolist())
            for place in places
        ]
        return Output(output.name, BYTES, list_by_row(texts).reshape(best.shape), output.asked)

    def _labels(self, count: int) -> list[str]:
        names = self._class_names or ()
        return [f":{name}" for name in names] if len(names) == count else [""] * count


def named(value: Any, name: str) -> Mapping[str, Any]:
    """The model's result by name: its own names or, for a single value, this name."""
    if isinstance(value, np.ndarray):
        return {name: value}
    if isinstance(value, dict) and value:
        return {str(key): each for key, each in value.items()}
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):  # a DataFrame
        return {str(column): value[column].to_numpy() for column in value.columns}
    return {name: value}


def array_of(value: Any, spec: TensorSpec | None = None) -> Array:
    """A value of the model's result as an array that has a datatype.

    Each row of a ragged output becomes JSON in an element of BYTES, as anything else becomes JSON
    in a single element.
    """
    if spec is not None and spec.ragged and isinstance(value, np.ndarray | list):
        return list_by_row([_element(row) for row in value])
    if isinstance(value, np.ndarray):
        return _holdable(value if value.ndim else value.reshape(1))
    if isinstance(value, str | bytes | bytearray | dict) or value is None:
        element = bytes(value) if isinstance(value, bytearray) else value
        return list_by_row([_element(element)])
    try:
        array = np.array([value]) if isinstance(value, bool | int | float) else from_result(value)
    except ModelError:
        return list_by_row([_element(value)])
    if spec is not None and spec.dtype is not None and array.dtype.kind in "iuf":
        array = _declared(array, spec.dtype)
    return _holdable(np.atleast_1d(array))


def _declared(array: Array, dtype: np.dtype[Any]) -> Array:
    """The values in the declared dtype, or unchanged if an integer dtype would change them."""
    with np.errstate(invalid="ignore"):
        declared = array.astype(dtype, copy=False)
    return array if dtype.kind in "biu" and (declared != array).any() else declared


def _holdable(array: Array) -> Array:
    """Numbers unchanged, other values as str, bytes or None; masked values are missing."""
    if isinstance(array, np.ma.MaskedArray):
        array = _without_mask(array)
    kind = array.dtype.kind
    if kind in "biuf":
        return array
    if kind == "M":
        array = np.datetime_as_string(array)
    elif kind == "O":
        array = numeric_if_possible(array) if _may_be_numbers(array) else array
        if array.dtype.kind in "biuf":
            return array
    elements = [_element(value) for value in array.ravel().tolist()]
    return list_by_row(elements).reshape(array.shape)


def _without_mask(array: Any) -> Array:
    """The values of a masked array; a masked one is NaN among floats, else None."""
    if array.dtype.kind == "f" or not np.ma.is_masked(array):
        return np.asarray(array.filled(np.nan) if array.dtype.kind == "f" else array.data)
    return list_by_row(array.ravel().tolist()).reshape(array.shape)


def _may_be_numbers(array: Array) -> bool:
    kinds = set(map(type, array.ravel().tolist()))
    return not kinds & {str, bytes, dict, list} and kinds != {type(None)}


def _element(value: Any) -> str | bytes | None:
    if value is None or isinstance(value, str | bytes):
        return value
    return decode_b64(value) if is_b64(value) else _written(value)


def _written(value: Any) -> str | None:
    """The JSON of a value; if that is a string, as for dates and decimals, its text."""
    written = dump(value)
    if written.startswith(b'"'):  # a date or a decimal
        text: str = read_json(written)
        return text
    return None if written == b"null" else written.decode()  # NaN is null
