"""Any input is answered or refused as the client's error, in JSON, binary and gRPC."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prepackaged.component import Component
from prepackaged.errors import ClientError
from prepackaged.server.inference.requests import Prediction, row_count
from prepackaged.server.protocols.v2 import (
    json_requests,
    json_responses,
    protobuf_codec,
    raw,
)
from prepackaged.server.protocols.v2.datatypes import DATATYPES
from prepackaged.server.protocols.v2.descriptors import CLASSES
from prepackaged.server.protocols.v2.inputs import Inputs
from prepackaged.server.protocols.v2.outputs import Outputs
from prepackaged.server.protocols.v2.requests import Message, request_of
from prepackaged.server.protocols.v2.served import Name
from prepackaged.server.protocols.v2.tensors import Tensor
from prepackaged.signature import Column, Signature, TensorSpec
from prepackaged.tables import Columns
from prepackaged.tensors import TensorComponent

HEAD = json_responses.head_of("m", "1")
FACTS = (Column("a", "float64"), Column("b", "text"), Column("c", "int64"), Column("d"))


class Plain:
    """A model that returns its input."""

    def predict(self, X: Any) -> Any:
        return X


class Tables(Component):
    """A model that returns the columns of a table."""

    signature = Signature(FACTS)

    def predict(self, X: Any, *_: Any) -> Any:
        table = Columns.of(FACTS).table(X)
        return dict(zip("abcd", table.arrays, strict=True))


class Tensors(TensorComponent):
    """A model that returns its named tensors."""

    signature = Signature(
        (
            TensorSpec("a", "f4", [None, 2]),
            TensorSpec("b", "S", [None], optional=True),
            TensorSpec("c", "i1", None, optional=True),
        )
    )

    def predict(self, X: Any, *_: Any) -> Any:
        return self.payload(self.tensors(X))


MODELS = (Plain(), Tables(), Tensors())
NAMES = st.sampled_from(["a", "b", "c", "d", "output-0", "\ud800", "n" * 100]) | st.text(max_size=3)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(NAMES, deeper, max_size=2),
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["content_type", "binary_data_size", "binary_data", "binary_data_output", "classification",
         "timeout", "sequence_id", "shared_memory_region", "method", "priority", "headers"]
    ),
    st.sampled_from(["pd", "np", "str", "base64", "datetime", "pd_json", "hf", 0, 4, True, False]),
    max_size=3,
)  # fmt: skip
NUMBERS = [name for name in DATATYPES if name not in ("BYTES", "BOOL")]
TEXTS = ["", "a", "YQ==", "{}", "1", "caf\u00e9"]


@st.composite
def tensor(draw: st.DrawFn, name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    """Generate an input with values of its datatype."""
    values = st.sampled_from(TEXTS if datatype == "BYTES" else [0, 1])
    count = int(np.prod(shape))
    data = draw(st.lists(values, min_size=count, max_size=count))
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@st.composite
def tensors_for(draw: st.DrawFn, model: Any) -> list[dict[str, Any]]:
    """Generate inputs that the model accepts."""
    rows = draw(st.integers(1, 3))
    kinds = {name: draw(st.sampled_from(NUMBERS)) for name in "acd"} | {"b": "BYTES"}
    if isinstance(model, Tables):
        column = st.sampled_from([[rows], [rows, 1]])
        return [draw(tensor(name, kinds[name], draw(column))) for name in "dbca"]
    shapes = {"a": [rows, 2], "b": [rows], "c": [rows, rows]}
    chosen = draw(st.sampled_from(["a", "ab", "ca", "abc"]))
    return [draw(tensor(name, kinds[name], shapes[name])) for name in chosen]


@st.composite
def messages(draw: st.DrawFn, model: Any) -> Any:
    """Generate a valid message, in which up to two parts are replaced."""
    message = {"inputs": draw(tensors_for(model))}
    if draw(st.booleans()):
        message["parameters"] = draw(PARAMETERS)
        message["inputs"][0]["parameters"] = draw(PARAMETERS)
    if draw(st.booleans()):
        message["outputs"] = [{"name": draw(NAMES), "parameters": draw(PARAMETERS)}]
    for _ in range(draw(st.integers(0, 2))):
        replace_something(draw, message)
    return message


def replace_something(draw: st.DrawFn, holder: Any) -> None:
    """Replace or delete a random part of a message."""
    while True:
        places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not places:
            return
        place = draw(st.sampled_from(places))
        inner = holder[place]
        if not isinstance(inner, dict | list) or draw(st.integers(0, 3)) == 0:
            break
        holder = inner
    if draw(st.integers(0, 3)) == 0:
        del holder[place]
    else:
        holder[place] = draw(VALUES)


FUZZ = settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)


def outcome(model: Any, read: Callable[[], Message], encode: Callable[..., Any]) -> Any:
    """Return the response to a message, or None if it is refused as the client's error.

    Any other exception would be a 500.
    """
    try:
        request = request_of(read(), Inputs(model))
        outputs = Outputs(model)
        methods = outputs.methods(request)
        row_count(request.value)
        value = model.predict(request.value)
        predictions = {method: Prediction(value, [], {}, []) for method in methods}
        return encode(request, outputs.selected(request, predictions))
    except ClientError as error:
        refused = error
    assert str(refused)
    return None


def over_rest(model: Any, body: bytes, size: int | None) -> Any:
    """Return the response over REST as JSON, or None if the message is refused."""
    answer = outcome(
        model,
        lambda: json_requests.read(body, size),
        lambda request, outputs: json_responses.encode(HEAD, request, outputs, {}),
    )
    if answer is not None:
        content, json_size = answer
        return json.loads(content[: len(content) if json_size is None else json_size])
    return None


@FUZZ
@given(st.data(), st.sampled_from(MODELS))
def test_json_of_any_kind_is_answered_or_refused(data: st.DataObject, model: Any) -> None:
    """JSON messages, valid or with random changes, are answered or refused."""
    over_rest(model, json.dumps(data.draw(messages(model))).encode(), None)


@FUZZ
@given(st.data(), st.sampled_from([0, 0, 0, -1, 1]), st.sampled_from(MODELS))
def test_bytes_after_the_json_are_answered_or_refused(
    data: st.DataObject, shift: int, model: Any
) -> None:
    """Binary data, complete or not, with any declared sizes, is answered or refused."""
    message, contents = data.draw(messages(model)), b""
    for entry in message.get("inputs") or [] if isinstance(message.get("inputs"), list) else []:
        if isinstance(entry, dict) and data.draw(st.booleans()):
            content = data.draw(st.sampled_from([content_of(entry), b"", b"\0" * 8]))
            entry.pop("data", None)
            entry["parameters"] = {"binary_data_size": len(content)}
            contents += content
    head = json.dumps(message).encode()
    over_rest(model, head + contents, len(head) + shift)


def content_of(entry: dict[str, Any]) -> bytes:
    """Encode an input in binary; empty if its values are invalid."""
    try:
        values = Tensor(
            "x", DATATYPES[entry["datatype"]], [len(entry["data"])], entry["data"]
        ).array()
        if entry["datatype"] == "BYTES":
            return raw.write_elements(value.encode() for value in values)
        return raw.write(values, DATATYPES[entry["datatype"]])
    except Exception:
        return b""


@FUZZ
@given(st.binary(max_size=200), st.none() | st.integers(-5, 210))
def test_any_bytes_are_refused(body: bytes, size: int | None) -> None:
    """Random bytes are refused as invalid JSON."""
    over_rest(Plain(), body, size)


def over_grpc(model: Any, message: Any) -> Any:
    """Return the response over gRPC, or None if the message is refused."""
    answer = outcome(
        model,
        lambda: protobuf_codec.decode(message),
        lambda request, outputs: protobuf_codec.encode(Name("m"), request, outputs, {}),
    )
    return None if answer is None else CLASSES["ModelInferResponse"].FromString(answer)


@st.composite
def calls(draw: st.DrawFn, model: Any) -> Any:
    """Generate a gRPC message with raw or typed contents, valid or with up to two changes."""
    message = CLASSES["ModelInferRequest"]()
    is_raw = draw(st.booleans())
    for entry in draw(tensors_for(model)):
        made = message.inputs.add(name=entry["name"], datatype=entry["datatype"])
        made.shape.extend(entry["shape"])
        if is_raw:
            message.raw_input_contents.append(content_of(entry))
        elif field := DATATYPES[entry["datatype"]].field:
            getattr(made.contents, field).extend(
                [each.encode() if isinstance(each, str) else each for each in entry["data"]]
            )
    for _ in range(draw(st.integers(0, 2))):
        draw(st.sampled_from(WRONG))(draw, message)
    return message


def change_contents(draw: st.DrawFn, message: Any) -> None:
    """Replace or remove raw contents."""
    del message.raw_input_contents[draw(st.integers(0, 2)) :]
    message.raw_input_contents.extend(draw(st.lists(st.binary(max_size=9), max_size=2)))


def change_shape(draw: st.DrawFn, message: Any) -> None:
    """Append a size to the shape."""
    message.inputs[0].shape.append(draw(st.sampled_from([-1, 0, 1, 2, 2**62])))


def change_datatype(draw: st.DrawFn, message: Any) -> None:
    """Replace the datatype by another one or an unknown one."""
    message.inputs[0].datatype = draw(st.sampled_from([*DATATYPES, "", "FP8"]))


def change_name(draw: st.DrawFn, message: Any) -> None:
    """Replace the name."""
    message.inputs[0].name = draw(st.sampled_from(["", "b", "x"]))


def add_values(draw: st.DrawFn, message: Any) -> None:
    """Add values to the FP32 field."""
    message.inputs[0].contents.fp32_contents.append(draw(st.floats(width=32)))


def add_parameter(draw: st.DrawFn, message: Any) -> None:
    """Add a parameter to the request, an input or an output."""
    output = message.outputs.add(name=draw(st.sampled_from(["a", "output-0", "x"])))
    holder = draw(st.sampled_from([message, message.inputs[0], output]))
    chosen = holder.parameters[draw(st.sampled_from(["content_type", "timeout", "classification"]))]
    if draw(st.booleans()):
        chosen.int64_param = draw(st.integers(-1, 2**63 - 1))
    else:
        chosen.string_param = draw(st.sampled_from(["pd", "base64", "pd_json", "hf"]))


WRONG = (change_contents, change_shape, change_datatype, change_name, add_values, add_parameter)


@FUZZ
@given(st.data(), st.sampled_from(MODELS))
def test_messages_over_grpc_are_answered_or_refused(data: st.DataObject, model: Any) -> None:
    """Messages with raw, typed, both or no contents are answered or refused."""
    over_grpc(model, data.draw(calls(model)))
