"""The headers of a call (gRPC over HTTP/2, "Requests")."""

import re
from typing import NamedTuple

from prepackaged.server.transport.grpc.messages import IDENTITY
from prepackaged.server.transport.grpc.status import BEGIN, Status, trailers_of
from prepackaged.server.transport.http2.headers import MAX_HEADERS, Headers
from prepackaged.server.transport.http2.hpack import Fields, block_of

CONTENT_TYPE = re.compile(rb"application/grpc([+;].*)?")
TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class CallHeaders(NamedTuple):
    """The parsed headers of a call; `fields` are all of them, with lower-case names.

    `timeout` is in seconds. `refusal` is the header block that answers a stream that is not a
    call.
    """

    path: str
    timeout: float | None
    encoding: bytes
    refusal: bytes | None
    fields: Fields


def read_headers(headers: Headers) -> CallHeaders:
    """Parse headers; repeated ones are parsed once."""
    if headers.meaning is None:
        headers.meaning = _read(headers)
    call: CallHeaders = headers.meaning
    return call


def _read(headers: Headers) -> CallHeaders:
    values = dict(headers.fields)
    return CallHeaders(
        path=values.get(b":path", b"").decode(errors="replace"),
        timeout=_seconds(values.get(b"grpc-timeout", b"")),
        encoding=values.get(b"grpc-encoding", IDENTITY),
        refusal=_refusal(headers.size, values),
        fields=headers.fields,
    )


def _refusal(size: int, values: dict[bytes, bytes]) -> bytes | None:
    if values.get(b":method") != b"POST":
        return block_of((":status", "405"))
    if not CONTENT_TYPE.fullmatch(values.get(b"content-type", b"")):
        return block_of((":status", "415"))
    if size > MAX_HEADERS:
        why = f"expected metadata of at most {MAX_HEADERS} bytes, got {size}"
        return block_of(*BEGIN, *trailers_of(Status.RESOURCE_EXHAUSTED, why))
    return None


def _seconds(text: bytes) -> float | None:
    """A gRPC timeout such as `250m`, in seconds; None if it is missing or malformed."""
    match = TIMEOUT.fullmatch(text)
    return int(match[1]) * UNITS[match[2]] if match else None
