"""Memory for data that is not a complete request yet is bounded."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from h2_client import CALL, PREFACE, raw
from hpack import Encoder, NeverIndexedHeaderTuple
from rawhttp import connected, get, post, text
from waiting import wait_until

from prepackaged.server.transport.http2.memory import BLOCK_BYTES

MB = 2**20
MEMORY = 16 * MB  # for all requests
MOST = 3 * MEMORY / MB  # growth that the process may have, with what its allocator does not reuse
STREAMS = range(1, 2000, 2)
SMALL_MESSAGE = raw(0, 0, 1, b"\0" + (8000).to_bytes(4, "big") + bytes(4000))[9:]


def block(*more: tuple[str, str]) -> bytes:
    """The header block of a call, encoded without changing the HPACK table."""
    fields = [NeverIndexedHeaderTuple(*field) for field in (*CALL, *more)]
    return bytes(Encoder().encode(fields, huffman=False))


def half_of_heads() -> Iterator[bytes]:
    """A header block with as many small fields as allowed, without its end."""
    yield b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 900
    yield b"a:b\r\n" * 900


def heads_without_bodies() -> Iterator[bytes]:
    """Complete header blocks of that size, whose bodies never arrive."""
    yield post(b"", length=10)[:-2] + b"a:b\r\n" * 900
    yield b"a:b\r\n" * 800 + b"\r\n"


def streams() -> Iterator[bytes]:
    """A thousand calls, each with half of a small message."""
    yield PREFACE + raw(4, 0, 0)
    good = block()
    for start in range(0, len(STREAMS), 20):
        for stream in STREAMS[start : start + 20]:
            yield raw(1, 4, stream, good) + raw(0, 0, stream, SMALL_MESSAGE)


def metadata() -> Iterator[bytes]:
    """A hundred calls with as much metadata as allowed."""
    yield PREFACE + raw(4, 0, 0)
    large = block(("x", "y" * 60_000))
    for stream in STREAMS[:100]:
        yield raw(1, 0, stream, large[:16_000])
        yield raw(9, 0, stream, large[16_000:32_000]) + raw(9, 0, stream, large[32_000:48_000])
        yield raw(9, 4, stream, large[48_000:])


def blocks() -> Iterator[bytes]:
    """A header block that never ends."""
    yield PREFACE + raw(4, 0, 0) + raw(1, 0, 1, bytes(16_000))
    for _ in range(BLOCK_BYTES // 16_384 - 2):
        yield raw(9, 0, 1, bytes(16_000))


REST_HOGS = [(half_of_heads, 300), (heads_without_bodies, 300)]
GRPC_HOGS = [(streams, 20), (metadata, 20), (blocks, 500)]


def hold(stack: ExitStack, address: str, parts: Iterator[bytes]) -> None:
    """Open a connection and send only these parts."""
    url = urlsplit(address if "//" in address else f"http://{address}")
    connection = stack.enter_context(socket.create_connection((url.hostname, url.port), 60))
    with suppress(OSError):  # the server has closed it
        for part in parts:
            connection.sendall(part)


def has_room(url: str) -> bool:
    """Return whether a large request is answered."""
    with connected(url) as friend:
        return friend.ask(post(text("x" * MB))).status == 200


def test_incomplete_requests_are_bounded(
    start_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """During each attack small requests are answered, and afterwards large ones too."""
    monkeypatch.setenv("PREPACKAGED_REQUEST_MEMORY_BYTES", str(MEMORY))
    process = start_process("Mirror")
    server = process.server
    before = process.memory("VmHWM")
    for hogs, address in ((REST_HOGS, server.url), (GRPC_HOGS, server.grpc)):
        for parts, count in hogs:
            with ExitStack() as stack, connected(server.url) as friend:
                for _ in range(count):
                    hold(stack, address, parts())
                assert friend.ask(get("/health/ping")).body == b"pong"
                assert friend.ask(post(text("hello"))).text == "hello"
            wait_until(lambda: has_room(server.url))
    assert process.memory("VmHWM") - before < MOST
