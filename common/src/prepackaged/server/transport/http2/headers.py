"""The headers of calls: read by way of `hpack`, and remembered; and those of answers.

A client sends the same block of bytes for call after call. As long as a block leaves the
table of the compression (RFC 7541) as it was, the same bytes mean the same headers, and are
decoded only once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple

from prepackaged.server.transport.grpc.status import Status
from prepackaged.server.transport.http2.frames import ErrorCode, Http2Error

Fields = Sequence[tuple[bytes, bytes]]

MAX_HEADERS = 65_536  # bytes
MOST_REMEMBERED = 64  # blocks of a connection
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


@dataclass(frozen=True, slots=True)
class Head:
    """What the headers of a call say; `fields` are all of them, names in lower case."""

    fields: Fields
    method: bytes
    path: bytes
    content_type: bytes
    timeout: float | None  # seconds
    encoding: bytes


class HeadReader:
    """Reads the blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=MAX_HEADERS)
        self._known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """What a block says. Raises `Http2Error` when it cannot be read."""
        if head := self._known.get(block):
            return head
        before = self._table()
        try:
            decoded = self._decoder.decode(block, raw=True)
            head = head_of([(bytes(name), bytes(value)) for name, value in decoded])
        except HPACKError as error:
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, f"headers: {error}") from error
        if self._table() != before or len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        else:
            self._known[block] = head
        return head

    def _table(self) -> list[object]:
        table = self._decoder.header_table
        return [table.maxsize, *table.dynamic_entries]


def head_of(fields: Fields) -> Head:
    """What header fields say."""
    values = dict(fields)
    return Head(
        fields=fields,
        method=values.get(b":method", b""),
        path=values.get(b":path", b""),
        content_type=values.get(b"content-type", b""),
        timeout=_seconds(values.get(b"grpc-timeout", b"").decode("latin-1")),
        encoding=values.get(b"grpc-encoding", b"identity"),
    )


def _seconds(text: str) -> float | None:
    """A time such as `250m`, as gRPC writes it; None where there is none."""
    match = re.fullmatch(r"(\d{1,8})([HMSmun])", text)
    return int(match[1]) * UNITS[match[2]] if match else None


def block_of(*fields: tuple[str, str]) -> bytes:
    """A block that leaves the peer's table as it is, so that it can be sent at any time."""
    encoder = Encoder()
    return encoder.encode([NeverIndexedHeaderTuple(*field) for field in fields], huffman=False)


def trailers_of(status: Status, details: str = "") -> tuple[tuple[str, str], ...]:
    """The fields that end a call."""
    code = ("grpc-status", str(int(status)))
    if not details:
        return (code,)
    return code, ("grpc-message", quote(details, safe=PRINTABLE))


BEGIN = ((":status", "200"), ("content-type", "application/grpc"))
BEGIN_BLOCK = block_of(*BEGIN)
OK_BLOCK = block_of(*trailers_of(Status.OK))
