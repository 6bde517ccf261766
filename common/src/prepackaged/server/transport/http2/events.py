"""What a core tells its user of."""

from typing import NamedTuple

from prepackaged.server.transport.http2.frames import ErrorCode
from prepackaged.server.transport.http2.headers import Headers


class HeadersReceived(NamedTuple):
    """A client opened a stream; `ended` says that nothing more of it follows."""

    stream: int
    headers: Headers
    ended: bool


class DataReceived(NamedTuple):
    """Data on a stream. Trailers, whose fields have no use here, are its end without data."""

    stream: int
    data: bytes
    ended: bool


class StreamReset(NamedTuple):
    """The client wants no answer any more, or broke a rule of this stream; it is gone."""

    stream: int
    code: int


class PingAcknowledged(NamedTuple):
    """The answer to a ping."""

    payload: bytes


class ConnectionFailed(NamedTuple):
    """The client broke a rule of the connection, and knows why; nothing more is read of it."""

    code: ErrorCode
    why: str


Event = HeadersReceived | DataReceived | StreamReset | PingAcknowledged | ConnectionFailed
