"""How protobuf messages of clients are read, and what of them is refused."""

import struct
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from seldon_core.proto import prediction_pb2

from prepackaged import ClientError
from prepackaged.server.protocols import protobuf_reading
from prepackaged.server.protocols.protobuf_reading import (
    BLOCK,
    LONGEST_NAME,
    PartCounter,
    count_of,
    may_have_parts,
    read_message,
    read_names,
)
from prepackaged.server.protocols.v2.descriptors import CLASSES
from prepackaged.server.transport.errors import TransportError

SeldonMessage = prediction_pb2.SeldonMessage
InferRequest = CLASSES["ModelInferRequest"]
FEW = 50_000  # parts that a message may have in these tests, where it is read apart at all


@pytest.fixture(autouse=True)
def few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound messages so that those of a test are small."""
    monkeypatch.setattr(protobuf_reading, "MOST_PARTS", FEW)


def delimited(tag: int, content: bytes) -> bytes:
    """A field with a length of four bytes, which is longer than it has to be."""
    size = len(content)
    return bytes([tag, *(size >> shift & 127 | 128 for shift in (0, 7, 14)), size >> 21]) + content


def in_list(parts: bytes) -> bytes:
    """A SeldonMessage whose `data.ndarray` is a ListValue of these parts."""
    return delimited(0x1A, delimited(0x1A, parts))


MANY: dict[str, tuple[Any, bytes]] = {
    "empty values": (SeldonMessage, in_list(b"\x0a\x00" * 60_000)),
    "empty lists": (SeldonMessage, in_list(b"\x0a\x02\x32\x00" * 60_000)),
    "empty texts": (SeldonMessage, in_list(b"\x0a\x02\x1a\x00" * 60_000)),
    "texts": (SeldonMessage, in_list(b"\x0a\x06\x1a\x04abcd" * 60_000)),
    "names": (SeldonMessage, delimited(0x1A, b"\x0a\x00" * 60_000)),
    "tags": (SeldonMessage, delimited(0x12, b"\x12\x00" * 60_000)),
    "metrics": (SeldonMessage, delimited(0x12, b"\x2a\x00" * 60_000)),
    "values of an object": (SeldonMessage, delimited(0x32, delimited(0x2A, b"\x0a\x00" * 60_000))),
    "the same, padded": (SeldonMessage, in_list(b"\x8a\x00\x80\x00" * 60_000)),
    "behind a group": (SeldonMessage, b"\x7b\x7c" + in_list(b"\x0a\x00" * 60_000)),
    "before an error": (SeldonMessage, in_list(b"\x0a\x00" * 60_000) + b"\x1a\x7f"),
    "messages of a list": (prediction_pb2.SeldonMessageList, b"\x0a\x00" * 60_000),
    "inputs": (InferRequest, b"\x2a\x00" * 60_000),
    "outputs": (InferRequest, b"\x32\x00" * 60_000),
    "raw contents": (InferRequest, b"\x3a\x00" * 60_000),
    "parameters": (InferRequest, b"\x22\x00" * 60_000),
    "elements": (InferRequest, delimited(0x2A, delimited(0x2A, b"\x42\x01a" * 60_000))),
}


@pytest.mark.parametrize("name", MANY)
def test_a_message_of_many_short_parts_is_refused(name: str) -> None:
    """A message of more short parts than may be is refused before protobuf reads it."""
    with pytest.raises(TransportError, match="expected at most 50000 parts in a message") as caught:
        read_message(*MANY[name])
    assert caught.value.status == 413


ALIKE: dict[str, tuple[Any, Any]] = {
    "bytes": (SeldonMessage, SeldonMessage(binData=b"\x0a\x00" * 60_000)),
    "text": (SeldonMessage, SeldonMessage(strData="\n\x01" * 60_000)),
    "tensor": (
        SeldonMessage,
        SeldonMessage(
            data=prediction_pb2.DefaultData(
                tensor=prediction_pb2.Tensor(
                    values=struct.unpack("<50000d", b"\x0a\x00\x0a\x00\x0a\x00\xf0\x3f" * 50_000)
                )
            )
        ),
    ),
    "raw contents": (InferRequest, InferRequest(raw_input_contents=[b"\x0a\0\0\0" * 60_000])),
    "numbers": (
        SeldonMessage,
        SeldonMessage(
            data=prediction_pb2.DefaultData(
                ndarray=struct_pb2.ListValue(values=[struct_pb2.Value(number_value=1.5)] * 60_000)
            )
        ),
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_content_that_looks_like_short_parts_is_read(name: str) -> None:
    """Content in which there happen to be the bytes of short parts is read."""
    kind, message = ALIKE[name]
    body = message.SerializeToString()
    assert len(body) > 100_000

    assert read_message(kind, body) == message


def test_an_invalid_message_is_a_client_s_error() -> None:
    """The error names the message that was expected."""
    for body in (b"\x0a", b"\x0a" * 200_000, b"\x07" * 200_000, b"\xff" * 200_000):
        with pytest.raises(ClientError, match=r"^expected a seldon\.protos\.SeldonMessage: "):
            read_message(SeldonMessage, body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
)


def parts_of(value: Any) -> int:
    """Count the fields of a Value (struct.proto): one, and those of what is in it."""
    if isinstance(value, list):
        return 1 + sum(1 + parts_of(each) for each in value)
    if isinstance(value, dict):  # whose entries have a field for the key, and one for the value
        return 1 + sum(3 + parts_of(each) for each in value.values())
    return 1


@given(st.lists(VALUES, max_size=5))
def test_parts_are_counted_like_the_fields_of_struct_proto(values: list[Any]) -> None:
    """The number of fields is that which struct.proto has for the values."""
    message = struct_pb2.ListValue()
    message.extend(values)

    counted = PartCounter(message.SerializeToString(), message.DESCRIPTOR).count()

    assert counted == parts_of(values) - 1


def test_the_count_stops_at_the_depth_that_protobuf_refuses() -> None:
    """Messages within each other beyond protobuf's bound are no reason to go on."""
    body = b""
    for _ in range(200):
        body = delimited(0x0A, delimited(0x32, body))

    assert PartCounter(body, struct_pb2.ListValue.DESCRIPTOR).count() == 100
    with pytest.raises(ClientError):
        read_message(struct_pb2.ListValue, body)


@given(st.binary(max_size=100))
def test_any_bytes_can_be_counted(body: bytes) -> None:
    """Any body has a number of parts, none of which has less than a byte."""
    assert 0 <= PartCounter(body, SeldonMessage.DESCRIPTOR).count() <= len(body)
    assert 0 <= may_have_parts(body) <= len(body)


def test_parts_across_two_blocks_are_counted() -> None:
    """A part on the border of two blocks counts, too."""
    body = bytes(BLOCK - 1) + b"\x0a\x00" + bytes(BLOCK)
    assert may_have_parts(body) == 1
    assert count_of(b"\x0a\x12\x0b" * 10, b"\x0a\x12") == 20


def test_a_message_with_a_name_is_short() -> None:
    """Messages that the event loop reads have a smaller limit."""
    kind = CLASSES["ModelReadyRequest"]
    assert read_names(kind, kind(name="x" * 1000).SerializeToString()).name == "x" * 1000
    with pytest.raises(
        TransportError, match="expected a message of at most 65536 bytes, got 65537"
    ):
        read_names(kind, bytes(LONGEST_NAME + 1))
