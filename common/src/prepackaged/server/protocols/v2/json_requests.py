"""Read requests over REST: JSON followed by binary tensors (binary tensor data extension)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import simdjson

from prepackaged.errors import ClientError
from prepackaged.server.protocols.errors import refuse_cloud_event
from prepackaged.server.protocols.json_parts import Path, read_numbers
from prepackaged.server.protocols.json_reading import (
    LARGE,
    array_of,
    expected,
    members,
    memory_of,
    parser_for,
    plain,
    read_arrays,
    read_json,
)
from prepackaged.server.protocols.shapes import checked_shape
from prepackaged.server.protocols.v2.datatypes import BYTES, DATATYPES
from prepackaged.server.protocols.v2.requests import (
    NO_PARAMETERS,
    Asked,
    Message,
    asked_output,
    check_outputs,
    check_shared_memory,
    wrong_datatype,
    wrong_value,
)
from prepackaged.server.protocols.v2.tensors import Tensor, label_of

#: Members of messages in other protocols, and the paths of these protocols.
OTHERS = {
    "data": "Seldon's protocol, which is at /api/v1.0/predictions",
    "jsonData": "Seldon's protocol, which is at /api/v1.0/predictions",
    "strData": "Seldon's protocol, which is at /api/v1.0/predictions",
    "binData": "Seldon's protocol, which is at /api/v1.0/predictions",
    "instances": "TensorFlow Serving's protocol, which is at /v1/models",
    "dataframe_split": "MLflow's protocol, which is at /invocations",
    "dataframe_records": "MLflow's protocol, which is at /invocations",
}
NOTHING = memoryview(b"")


def read(body: bytes, json_size: int | None) -> Message:
    """Read the message in a body, whose first `json_size` bytes are JSON; None means all of it.

    Raises `ClientError` for any error in it.
    """
    size = len(body) if json_size is None else json_size
    if json_size is not None and not 0 < size <= len(body):
        raise ClientError(
            f"expected Inference-Header-Content-Length from 1 to {len(body)}, the body's length,"
            f" got {size}"
        )
    is_whole = size == len(body)
    message = _parsed(body if is_whole else body[:size])
    if not isinstance(message, dict):
        raise expected("an object with inputs", message)
    return Message(
        _tensors(message, NOTHING if is_whole else memoryview(body)[size:]),
        _id(message.get("id")),
        _parameters(message, "parameters"),
        _outputs(message.get("outputs")),
    )


def memory_of_body(body: bytes, json_size: int | None) -> int:
    """An estimate of the memory for a request's values, without elements of BYTES."""
    size = len(body) if json_size is None else min(json_size, len(body))
    return memory_of(body[:size]) + 2 * (len(body) - size)


def _parsed(body: bytes) -> Any:
    """Parse the JSON; in a large body, `data` of an input may become an array of numbers."""
    if len(body) < LARGE or b'"inputs"' not in body:
        return read_json(body)
    return read_arrays(body, _in_parts, _with_arrays)


def _in_parts(body: bytes) -> Any:
    """Parse a message with long lists of numbers; else raise `ValueError`."""
    message = read_numbers(body, _is_data)
    entries = [each for each in message["inputs"] if isinstance(each, dict)]
    texts = [each.get("data") for each in entries if each.get("datatype") == BYTES.name]
    if any(isinstance(each, np.ndarray) for each in texts):
        raise ValueError("numbers where texts belong")
    return message


def _is_data(path: Path) -> bool:
    """Whether the path leads to the `data` of an input."""
    return len(path) == 3 and path[0] == "inputs" and path[2] == "data"


def _with_arrays(body: bytes) -> dict[str, Any]:
    """Parse a message with numeric inputs to arrays; fails with any error for other messages."""
    message = members(parser_for(body).parse(body))
    inputs = message.pop("inputs")
    if not isinstance(inputs, simdjson.Array):
        raise TypeError("inputs are no list")
    if len(body) < LARGE * len(inputs):
        raise ValueError("many small inputs, for which arrays cost more than lists")
    if not all(isinstance(each, simdjson.Object) for each in inputs):
        raise TypeError("an input is no object")
    entries = [_entry(members(each)) for each in inputs]
    rest = {name: plain(value) for name, value in message.items()}
    lists = 1 + sum(map(_list_count, rest.values()))
    lists += sum(_list_count(value) for entry in entries for value in entry.values())
    # simdjson flattens lists among the numbers, which only the number of brackets reveals.
    if body.count(b"[") != lists:
        raise ValueError("lists where none belong")
    return {**rest, "inputs": entries}


def _entry(fields: dict[str, Any]) -> dict[str, Any]:
    entry = {name: plain(value) for name, value in fields.items() if name != "data"}
    if "data" in fields:
        data = fields["data"]
        is_text = entry.get("datatype") == BYTES.name
        entry["data"] = plain(data) if is_text else array_of(data)
    return entry


def _list_count(value: Any) -> int:
    """The number of lists in a value."""
    if isinstance(value, np.ndarray):
        return 1 + int(sum(np.cumprod(value.shape[:-1], dtype=int)))
    if isinstance(value, dict):
        return sum(map(_list_count, value.values()))
    if not isinstance(value, list):
        return 0
    return 1 + sum(_list_count(each) for each in value if type(each) in (list, dict))


def _tensors(message: Mapping[str, Any], binary: memoryview) -> list[Tensor]:
    """The inputs; the bytes of binary ones follow each other in `binary`."""
    entries = message.get("inputs")
    if not isinstance(entries, list) or not entries:
        raise _no_inputs(message, entries)
    tensors, at = [], 0
    for place, entry in enumerate(entries):
        tensor, size = _tensor(entry, place)
        if size is not None:
            tensor.content, at = binary[at : at + size], at + size
            if at > len(binary):
                got = len(tensor.content)
                raise tensor.wrong(f"expected {size} bytes after the JSON, got {got}")
        tensors.append(tensor)
    if at != len(binary):
        raise ClientError(
            f"expected {at} bytes after the JSON, as binary_data_size of the inputs says,"
            f" got {len(binary)}"
        )
    return tensors


def _no_inputs(message: Mapping[str, Any], entries: Any) -> ClientError:
    refuse_cloud_event(message, "inputs")
    other = next((f"{key}, which is {whose}" for key, whose in OTHERS.items() if key in message), 0)
    if other:
        return ClientError(f"expected an object with inputs, got one with {other}")
    if entries == []:
        return ClientError("expected at least one input, got none")
    return expected("inputs as a list", entries)


def _tensor(entry: Any, place: int) -> tuple[Tensor, int | None]:
    """An input, and its number of bytes after the JSON; None if its values are in the JSON."""
    if not isinstance(entry, dict):
        raise expected(f"inputs[{place}] as an object", entry)
    name, datatype = entry.get("name"), entry.get("datatype")
    if type(name) is not str:
        raise expected(f"inputs[{place}].name as a string", name)
    known = DATATYPES.get(datatype) if type(datatype) is str else None
    if known is None:
        raise wrong_datatype(label_of(name), datatype)
    try:
        shape = checked_shape(entry.get("shape"))
    except ClientError as error:
        raise ClientError(f"{label_of(name)}: {error}") from error
    tensor = Tensor(name, known, shape, entry.get("data"))
    if "parameters" in entry:
        tensor.parameters = _parameters(entry, label_of(name))
    return tensor, _size_behind(tensor)


def _size_behind(tensor: Tensor) -> int | None:
    """An input's number of bytes after the JSON; None if its values are in the JSON."""
    values, parameters = tensor.values, tensor.parameters
    size = _binary_size(parameters, tensor.label) if parameters else None
    if values is None:
        if size is None and 0 not in tensor.shape:
            raise tensor.wrong("expected data as a list, got none")
        return size
    if not isinstance(values, list | np.ndarray):
        raise expected(f"{tensor.label} with data as a list", values)
    if size:
        raise tensor.wrong("expected either data or binary_data_size, got both")
    return None


def _binary_size(parameters: Mapping[str, Any], label: str) -> int | None:
    check_shared_memory(parameters, label)
    size = parameters.get("binary_data_size")
    if size is None or (type(size) is int and size >= 0):
        return size
    raise wrong_value(f"{label} with parameters.binary_data_size as a whole number from 0", size)


def _id(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise expected("id as a string", value)


def _parameters(holder: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return NO_PARAMETERS
    if not isinstance(parameters, dict):
        name = where if where == "parameters" else f"{where} with parameters"
        raise expected(f"{name} as an object", parameters)
    return parameters


def _outputs(entries: Any) -> tuple[Asked, ...]:
    if not entries and (entries is None or isinstance(entries, list)):
        return ()
    if not isinstance(entries, list):
        raise expected("outputs as a list", entries)
    outputs = tuple([_asked(entry, place) for place, entry in enumerate(entries)])
    check_outputs(outputs)
    return outputs


def _asked(entry: Any, place: int) -> Asked:
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, str) and len(entry) == 1:
        return asked_output(name, NO_PARAMETERS, "")
    where = f"outputs[{place}]"
    if not isinstance(entry, dict):
        raise expected(f"{where} as an object", entry)
    if not isinstance(name, str):
        raise expected(f"{where}.name as a string", name)
    return asked_output(name, _parameters(entry, where), where)
