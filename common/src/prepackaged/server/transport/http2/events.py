"""The events that `Http2Core.receive` yields."""

from typing import NamedTuple

from prepackaged.server.transport.http2.frames import ErrorCode
from prepackaged.server.transport.http2.headers import Headers


class HeadersReceived(NamedTuple):
    """A client opened a stream; `ended` is true if nothing more follows on it."""

    stream: int
    headers: Headers
    ended: bool


class DataReceived(NamedTuple):
    """Data on a stream. Trailers, whose fields are ignored, end it without data."""

    stream: int
    data: bytes
    ended: bool


class StreamReset(NamedTuple):
    """The client cancelled the stream or violated the protocol on it; it is closed."""

    stream: int
    code: int


class PingAcknowledged(NamedTuple):
    """The answer to a ping."""

    payload: bytes


class ConnectionFailed(NamedTuple):
    """The client violated the protocol: GOAWAY was sent, and no further bytes are read."""

    code: ErrorCode
    why: str


Event = HeadersReceived | DataReceived | StreamReset | PingAcknowledged | ConnectionFailed
