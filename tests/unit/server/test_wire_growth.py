"""The cost of what a connection receives grows at most in proportion to its size."""

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest
from growth import MOST, growth
from h2_client import PREFACE, raw

from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.http1.framing import Fields
from prepackaged.server.transport.http1.header_cache import HeaderCache
from prepackaged.server.transport.http1.incoming import Incoming
from prepackaged.server.transport.http1.reader import RequestReader
from prepackaged.server.transport.http2.core import Http2Core
from prepackaged.server.transport.http2.hpack import block_of
from prepackaged.server.transport.routing import Target

BLOCK = block_of(
    (":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")
)
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

#: What a client of HTTP/2 sends after its preface, for a size (RFC 9113, 6).
FRAMES: dict[str, Callable[[int], bytes]] = {
    "data of one byte": lambda size: raw(1, 4, 1, BLOCK) + raw(0, 0, 1, b"a") * size,
    "empty data": lambda size: raw(1, 4, 1, BLOCK) + raw(0, 0, 1) * size,
    "padded data": lambda size: raw(1, 4, 1, BLOCK) + raw(0, 8, 1, b"\x01a\0") * size,
    "requests": lambda size: b"".join(raw(1, 5, 2 * n + 1, BLOCK) for n in range(size)),
    "requests that are reset": lambda size: b"".join(
        raw(1, 4, 2 * n + 1, BLOCK) + raw(3, 0, 2 * n + 1, bytes(4)) for n in range(size)
    ),
    "continuations": lambda size: raw(1, 0, 1, BLOCK) + raw(9, 0, 1) * size,
    "priorities": lambda size: raw(2, 0, 3, bytes(5)) * size,
    "settings": lambda size: raw(4, 0, 0) * size,
    "values of settings": lambda size: raw(4, 0, 0, b"\0\x03\0\0\0\x64" * size),
    "pings": lambda size: raw(6, 0, 0, bytes(8)) * size,
    "window updates": lambda size: raw(8, 0, 0, b"\0\0\0\x01") * size,
    "unknown frames": lambda size: raw(99, 0, 0) * size,
}
#: What a client of HTTP/1 sends, for a size (RFC 9112).
MESSAGES: dict[str, Callable[[int], bytes]] = {
    "requests": lambda size: (POST + b"Content-Length: 1\r\n\r\na") * size,
    "header fields": lambda size: POST + b"a: b\r\n" * size + b"\r\n",
    "a long header field": lambda size: POST + b"a: " + b"b" * size * 8 + b"\r\n\r\n",
    "chunks of one byte": lambda size: CHUNKED + b"1\r\na\r\n" * size + b"0\r\n\r\n",
    "trailers": lambda size: CHUNKED + b"0\r\n" + b"a: b\r\n" * size + b"\r\n",
    "offers of another protocol": lambda size: (
        (POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n") * size
    ),
    "empty lines": lambda size: b"\r\n" * size + POST + b"\r\n",
}


def receive_frames(data: bytes) -> None:
    """Receive frames, with a clock so quick that no budget of frames is spent."""
    core = Http2Core(partial(next, count(0.0)))
    for _ in core.receive(PREFACE + raw(4, 0, 0) + data):
        core.take_output()
    while core.has_more:
        for _ in core.receive(b""):
            core.take_output()


def begin(method: str, target: bytes, fields: Fields) -> Incoming:
    """Begin a request that nobody answers."""
    exchange = Exchange(
        method,
        target.decode(),
        fields,
        carrier=None,  # type: ignore[arg-type]
        failure=lambda *_: Response(b""),
        observe=lambda *_: None,
    )
    return Incoming(exchange, Target(target.decode(), b"", {}, lambda *_: Response(b"")))


def receive_messages(data: bytes) -> None:
    """Receive HTTP/1 in parts as large as a socket gives."""
    reader = RequestReader(begin, None, HeaderCache())
    for place in range(0, len(data), 2**16):
        reader.receive(data[place : place + 2**16])
        while reader.rest:
            reader.read_on()


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_cost_in_proportion_to_their_number(kind: str) -> None:
    """No kind of frame costs more because many came before it."""
    assert growth(receive_frames, FRAMES[kind], 1000) < MOST


@pytest.mark.parametrize("kind", MESSAGES)
def test_http1_costs_in_proportion_to_its_size(kind: str) -> None:
    """No part of a message, and no message, costs more because much came before it."""
    assert growth(receive_messages, MESSAGES[kind], 2000) < MOST
