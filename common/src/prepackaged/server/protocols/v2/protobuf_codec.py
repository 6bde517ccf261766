"""Decode requests and encode responses of inference over gRPC.

Tensors are either all binary, in `raw_input_contents`, or typed, each in its own `contents`. The
response has the form of the request.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from prepackaged.errors import ClientError
from prepackaged.server.protocols.protobuf_reading import count_of
from prepackaged.server.protocols.shapes import checked_shape
from prepackaged.server.protocols.v2.contents import content_of, elements_of
from prepackaged.server.protocols.v2.datatypes import BYTES, DATATYPES, Datatype
from prepackaged.server.protocols.v2.descriptors import CLASSES
from prepackaged.server.protocols.v2.outputs import Output
from prepackaged.server.protocols.v2.requests import (
    NO_PARAMETERS,
    Asked,
    InferRequest,
    Message,
    asked_output,
    check_outputs,
    check_shared_memory,
    wrong_datatype,
)
from prepackaged.server.protocols.v2.served import Name
from prepackaged.server.protocols.v2.tensors import Tensor, label_of
from prepackaged.server.protocols.wire import delimited

ModelInferResponse = CLASSES["ModelInferResponse"]

#: The dtypes of the fields that contain numbers.
FIELDS: dict[str, Any] = {
    "bool_contents": np.bool_,
    "int_contents": np.int32,
    "int64_contents": np.int64,
    "uint_contents": np.uint32,
    "uint64_contents": np.uint64,
    "fp32_contents": np.float32,
    "fp64_contents": np.float64,
}
LONGEST_KEPT = 200  # the most characters of output names in cached parts of responses
ID, RAW_CONTENTS = 3, 6  # fields of ModelInferResponse
PARAMETER_FIELDS = {bool: "bool_param", int: "int64_param", str: "string_param"}
# Tags of a message's parts on the wire: inputs, outputs, raw contents, parameters and contents.
TAGS = b"\x2a\x32\x3a\x22\x0a"
PART_BYTES = 64
TENSOR_BYTES = 400  # the memory of an input's objects


def memory_of_body(body: bytes) -> int:
    """An estimate of the memory for the parts of a message and a response of the same size.

    A part has at least two bytes on the wire, and begins with one of TAGS.
    """
    return 2 * len(body) + PART_BYTES * count_of(body, TAGS)


def memory_of_values(message: Any) -> int:
    """The memory for converting the values of typed tensors to arrays, and for inputs."""
    size = 0 if message.raw_input_contents else 10 * message.ByteSize()
    return size + TENSOR_BYTES * len(message.inputs)


def decode(message: Any) -> Message:
    """Decode a ModelInferRequest. Raises `ClientError` for any error in it."""
    contents = message.raw_input_contents
    if not message.inputs:
        raise ClientError("expected at least one input, got none")
    if contents and len(contents) != len(message.inputs):
        raise ClientError(
            f"expected raw_input_contents for each of {len(message.inputs)} inputs, or for none,"
            f" got {len(contents)}"
        )
    raw = contents or [None] * len(message.inputs)
    return Message(
        [_tensor(each, content) for each, content in zip(message.inputs, raw, strict=True)],
        message.id,
        _parameters(message.parameters),
        _outputs(message.outputs) if message.outputs else (),
    )


def _tensor(sent: Any, content: bytes | None) -> Tensor:
    datatype = DATATYPES.get(sent.datatype)
    if datatype is None:
        raise wrong_datatype(label_of(sent.name), sent.datatype)
    try:
        shape = checked_shape(list(sent.shape))
    except ClientError as error:
        raise ClientError(f"{label_of(sent.name)}: {error}") from error
    parameters = _parameters(sent.parameters)
    if parameters:
        check_shared_memory(parameters, label_of(sent.name))
    tensor = Tensor(sent.name, datatype, shape, None, content, parameters)
    if content is None:
        tensor.values = _values(tensor, sent.contents, datatype)
    elif sent.HasField("contents"):
        raise tensor.wrong("expected either raw_input_contents or contents, got both")
    return tensor


def _values(tensor: Tensor, contents: Any, datatype: Datatype) -> Any:
    """The values of a typed tensor, which must be in the field of its datatype."""
    if not datatype.field:
        raise tensor.wrong(f"expected {datatype.name} in raw_input_contents, its only place")
    fields = [field.name for field, _ in contents.ListFields()]
    if wrong := [name for name in fields if name != datatype.field]:
        raise tensor.wrong(f"expected values in {datatype.field}, got some in {wrong[0]}")
    values = getattr(contents, datatype.field)
    return list(values) if datatype is BYTES else np.array(values, FIELDS[datatype.field])


def _outputs(sent: Sequence[Any]) -> tuple[Asked, ...]:
    outputs = tuple(
        asked_output(each.name, _parameters(each.parameters), f"outputs[{place}]")
        for place, each in enumerate(sent)
    )
    check_outputs(outputs)
    return outputs


def _parameters(sent: Mapping[str, Any]) -> Mapping[str, Any]:
    if not len(sent):
        return NO_PARAMETERS
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in sent.items()}
    return {name: getattr(sent[name], field) for name, field in chosen.items() if field}


def encode(
    name: Name, request: InferRequest, outputs: Sequence[Output], tags: Mapping[str, Any]
) -> bytes:
    """The serialized ModelInferResponse with these outputs and tags."""
    is_raw = request.is_binary or not all(output.datatype.field for output in outputs)
    about = tuple((each.name, each.datatype.name, each.array.shape) for each in outputs)
    head = (
        _head if sum(len(each.name) + 1 for each in outputs) <= LONGEST_KEPT else _head.__wrapped__
    )
    parts = [head(name, about)] if is_raw else [_typed(name, about, outputs)]
    if request.id:
        parts.append(delimited(ID, request.id.encode()))
    if tags:
        parts.append(_tags(tags))
    if is_raw:  # written directly, without copying the contents into a message
        parts += [delimited(RAW_CONTENTS, content_of(output)) for output in outputs]
    return b"".join(parts)


@lru_cache(256)
def _head(name: Name, outputs: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bytes:
    """A response with outputs of these names, datatypes and shapes, without contents."""
    return bytes(_message(name, outputs).SerializeToString())


def _message(name: Name, outputs: tuple[tuple[str, str, tuple[int, ...]], ...]) -> Any:
    message = ModelInferResponse(model_name=name.model, model_version=name.version)
    for output, datatype, shape in outputs:
        message.outputs.add(name=output, datatype=datatype, shape=shape)
    return message


def _typed(name: Name, about: Any, outputs: Sequence[Output]) -> bytes:
    message = _message(name, about)
    for tensor, output in zip(message.outputs, outputs, strict=True):
        field = getattr(tensor.contents, output.datatype.field)
        is_text = output.datatype is BYTES
        field.extend(elements_of(output) if is_text else output.array.ravel().tolist())
    return bytes(message.SerializeToString())


def _tags(tags: Mapping[str, Any]) -> bytes:
    message = ModelInferResponse()
    for key, value in tags.items():
        _write_parameter(message.parameters, key, value)
    return bytes(message.SerializeToString())


def _write_parameter(parameters: Any, key: str, value: Any) -> None:
    """Write a tag of the model, if it is a plain value."""
    if isinstance(value, float):
        parameters[key].double_param = value
    elif type(value) in PARAMETER_FIELDS and not (type(value) is int and abs(value) >= 2**63):
        setattr(parameters[key], PARAMETER_FIELDS[type(value)], value)
