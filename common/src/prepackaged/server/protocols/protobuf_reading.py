"""Read protobuf messages from clients, for all protocols over gRPC.

Protobuf blocks all other requests while it reads a message, and 60 MB of empty parts take four
seconds. Therefore, the number of parts is limited before a message is read.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from prepackaged.errors import ClientError
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.errors import TransportError

MOST_PARTS = 2**22  # the most parts of a message; reading them takes a quarter of a second
SHORT = 8  # bytes of a short part; the size limit of messages bounds the number of longer ones
LONGEST_NAME = 2**16  # the most bytes of a message with one or two names, or without content
BLOCK = 2**18  # the bytes that numpy compares at a time
DEEPEST = 100  # the most levels of nested messages that protobuf accepts
VARINT, DELIMITED = 0, 2  # wire types
SIZES = (0, 8, 0, 0, 0, 4)  # bytes of a value, by its wire type

AMessage = TypeVar("AMessage", bound=Message)


def read_message(kind: type[AMessage], body: bytes) -> AMessage:
    """Parse the message in a body.

    Raises `ClientError` for an invalid message, and `TransportError` with status 413 for more than
    MOST_PARTS parts, most of them short.
    """
    if len(body) > LARGE and may_have_parts(body) > MOST_PARTS:
        check_parts(body, kind.DESCRIPTOR)
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise ClientError(f"expected a {kind.DESCRIPTOR.full_name}: {error}") from error


def read_names(kind: type[AMessage], body: bytes) -> AMessage:
    """Parse a message on the event loop; raises `TransportError` 413 if it is not short."""
    if len(body) > LONGEST_NAME:
        why = f"expected a message of at most {LONGEST_NAME} bytes, got {len(body)}"
        raise TransportError(413, why)
    return read_message(kind, body)


def count_of(body: bytes, octets: bytes) -> int:
    """Count the occurrences of these bytes in a body, in blocks so that other threads can run."""
    found = [np.count_nonzero(block == octet) for block in blocks(body) for octet in octets]
    return int(sum(found))


def may_have_parts(body: bytes) -> int:
    """An upper bound of the number of short parts: the bytes that look like the start of one.

    A part starts with a tag whose field number is below 16 and a length of at most SHORT, or has a
    varint that is padded with a zero byte. Other content may look the same by chance.
    """
    found = 0
    for block in blocks(body):
        first, second = block[:-1], block[1:]
        looks = (first & 0x87) == DELIMITED
        looks &= second <= SHORT
        is_padded = first >= 0x80
        is_padded &= second == 0
        found += int(np.count_nonzero(looks | is_padded))
    return found


def blocks(body: bytes) -> Iterator[Any]:
    """Split a body into arrays of bytes that overlap by one byte."""
    octets = np.frombuffer(body, np.uint8)
    return (octets[start : start + BLOCK + 1] for start in range(0, len(octets), BLOCK))


def check_parts(body: bytes, kind: Any) -> None:
    """Raise `TransportError` with status 413 for more than MOST_PARTS parts, of any length."""
    if PartCounter(body, kind).count() > MOST_PARTS:
        raise TransportError(413, f"expected at most {MOST_PARTS} parts in a message, got more")


class PartCounter:
    """Counts the fields of a message and of nested messages, in the order of the wire format.

    `kind` is the message's descriptor.
    """

    def __init__(self, body: bytes, kind: Any) -> None:
        self._body = body
        self._place = 0
        self._around = [(len(body), messages_in(kind))]  # open messages: end, kinds inside

    def count(self) -> int:
        """The number of fields, up to MOST_PARTS + 1; in a malformed message, up to its error."""
        found = 0
        with suppress(IndexError):
            while self._around and found <= MOST_PARTS:
                if self._place < self._around[-1][0]:
                    self._pass_field()
                    found += 1
                else:
                    self._around.pop()
        return found

    def _pass_field(self) -> None:
        """Skip a field or enter its message; raises `IndexError` where protobuf stops reading."""
        number, wire = divmod(self._varint(), 8)
        if wire == DELIMITED:
            self._enter(number, self._varint())
        elif wire == VARINT:
            self._varint()
        else:
            self._place += SIZES[wire]

    def _enter(self, number: int, size: int) -> None:
        end, messages = self._around[-1]
        if self._place + size > end or len(self._around) > DEEPEST:
            raise IndexError
        message = messages.get(number)
        if message is None:
            self._place += size
        else:
            self._around.append((self._place + size, messages_in(message)))

    def _varint(self) -> int:
        octet, self._place = self._body[self._place], self._place + 1
        value, shift = octet & 0x7F, 7
        while octet > 0x7F:
            octet, self._place = self._body[self._place], self._place + 1
            value |= (octet & 0x7F) << shift
            shift += 7
        return value


@lru_cache(None)
def messages_in(kind: Any) -> Mapping[int, Any]:
    """The descriptors of a message's message fields, by field number."""
    return {field.number: field.message_type for field in kind.fields if field.message_type}
