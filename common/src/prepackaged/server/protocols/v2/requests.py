"""An inference request, over REST or gRPC."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from prepackaged.errors import ClientError
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.protocols.json_reading import JSON_TYPES
from prepackaged.server.protocols.v2 import raw
from prepackaged.server.protocols.v2.codecs import check_content_type
from prepackaged.server.protocols.v2.datatypes import BYTES, DATATYPES
from prepackaged.server.protocols.v2.inputs import Inputs
from prepackaged.server.protocols.v2.tensors import Tensor, cut_name, label_of_all

NO_PARAMETERS: Mapping[str, Any] = {}
#: Parameters of a request that this or another server handles; the model gets the others.
OWN = {
    "binary_data_output",
    "content_type",
    "headers",
    "priority",
    "sequence_end",
    "sequence_id",
    "sequence_start",
    "timeout",
}
OTHERS_PREFIX = "triton_"
SHARED_MEMORY = "shared_memory_"
MICROSECOND = 1e-6
LONGEST_KEPT = 200  # the most characters of the name of a cached output
YEAR = 366 * 86400.0  # seconds
OBJECT_BYTES = 64  # the memory of an element of BYTES besides its content


@dataclass(slots=True, frozen=True)
class Asked:
    """A requested output.

    `is_binary` is None if the request decides. `classes` is the number of largest values to return
    as classes, 0 to return the values themselves. If `is_base64`, BYTES are returned in Base64.
    """

    name: str
    is_binary: bool | None = None
    classes: int = 0
    is_base64: bool = False


@dataclass(slots=True)
class Message:
    """The content of a request: its `inputs`, parameters and requested outputs."""

    inputs: Sequence[Tensor]
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[Asked] = ()


@dataclass(slots=True)
class InferRequest(InferenceRequest):
    """A requested prediction, with the client's choices for the response.

    `seconds` is the client's timeout, 0 for none. `label` names the inputs if they are a table by
    position, whose errors name only row and column; otherwise it is empty.
    """

    id: str = ""
    outputs: Sequence[Asked] = ()
    is_binary: bool = False
    seconds: float = 0
    label: str = ""

    def labelled(self, error: BaseException) -> BaseException:
        """The error of the model's `prepare` or `predict`; a `ClientError` gets the label."""
        if not self.label or type(error) is not ClientError:
            return error
        named = ClientError(f"{self.label}: {error}")
        named.__cause__ = error
        return named


def request_of(message: Message, inputs: Inputs) -> InferRequest:
    """Create the request from a message. Raises `ClientError` for any error in it."""
    parameters = message.parameters
    content_type = parameters.get("content_type") if parameters else None
    if content_type is not None:
        check_content_type(content_type)
    value, names = inputs.value(message.inputs, content_type)
    request = InferRequest(value, names, id=message.id, outputs=message.outputs)
    if inputs.takes_tables and isinstance(value, np.ndarray):
        request.label = label_of_all(message.inputs)
    if message.id:
        request.meta["puid"] = message.id
    if parameters:
        _heed(parameters, request)
    return request


def _heed(parameters: Mapping[str, Any], request: InferRequest) -> None:
    """Apply the request's parameters; those for the model become tags."""
    if parameters.get("sequence_id"):
        raise ClientError("expected no parameters.sequence_id: sequences are not supported")
    check_shared_memory(parameters, "parameters")
    request.is_binary = read_flag(parameters, "binary_data_output", "parameters")
    request.seconds = _seconds(parameters.get("timeout") or 0)
    tags = {
        key: value
        for key, value in parameters.items()
        if key not in OWN and not key.startswith(OTHERS_PREFIX)
    }
    if tags:
        request.meta["tags"] = tags


def _seconds(timeout: Any) -> float:
    """A timeout in seconds, at most a year."""
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not timeout >= 0:
        raise wrong_value("parameters.timeout as a number of microseconds from 0", timeout)
    return float(min(timeout * MICROSECOND, YEAR))


def asked_output(name: str, parameters: Mapping[str, Any], where: str) -> Asked:
    """A requested output with these parameters. Raises `ClientError`."""
    if not parameters:
        return _output(name) if len(name) <= LONGEST_KEPT else Asked(name)
    check_shared_memory(parameters, where)
    classes = parameters.get("classification") or 0
    if type(classes) is not int or classes < 0:
        raise wrong_value(f"{where}.classification as a number of classes", classes)
    is_binary = None
    if parameters.get("binary_data") is not None:
        is_binary = read_flag(parameters, "binary_data", where)
    return Asked(name, is_binary, classes, parameters.get("content_type") == "base64")


@lru_cache(256)
def _output(name: str) -> Asked:
    """A requested output without parameters, cached by its name."""
    return Asked(name)


def check_outputs(outputs: Sequence[Asked]) -> None:
    """Raise `ClientError` if an output is requested twice."""
    names: set[str] = set()
    for output in outputs if len(outputs) > 1 else ():
        if output.name in names:
            raise ClientError(f"expected each output once, got {cut_name(output.name)!r} twice")
        names.add(output.name)


def read_flag(parameters: Mapping[str, Any], name: str, where: str) -> bool:
    """A boolean parameter; false if it is absent."""
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong_value(f"{where}.{name} as true or false", value)


def wrong_value(what: str, value: Any) -> ClientError:
    """The error for a value of the wrong type or size."""
    return ClientError(f"expected {what}, got {reprlib.repr(value)}")


def check_shared_memory(parameters: Mapping[str, Any], where: str) -> None:
    """Raise `ClientError` for tensors in shared memory, which is not supported."""
    for name in parameters:
        if name.startswith(SHARED_MEMORY):
            raise ClientError(
                f"{where}: expected the tensor in the request, got {cut_name(name)};"
                " shared memory is not supported"
            )


def memory_of_elements(tensors: Sequence[Tensor]) -> int:
    """The memory for the elements of binary tensors of BYTES, in addition to the received bytes."""
    sizes = [len(each.content) for each in tensors if each.content and each.datatype is BYTES]
    return OBJECT_BYTES * sum(size // raw.LENGTH.size for size in sizes)


def wrong_datatype(label: str, got: Any) -> ClientError:
    """The error for an unknown datatype."""
    known = ", ".join(DATATYPES)
    shown = repr(cut_name(got)) if isinstance(got, str) else JSON_TYPES.get(type(got), "a value")
    return ClientError(f"{label}: expected datatype as one of {known}, got {shown}")
