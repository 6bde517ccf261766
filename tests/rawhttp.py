"""HTTP byte by byte: requests that no client library would send, and their answers."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from waiting import SECONDS

PREDICT = "/api/v1.0/predictions"
# The same request without a query and with one; a query could hold a message too.
WAYS = (PREDICT, PREDICT + "?way=query")


def post(
    body: bytes,
    path: str = PREDICT,
    *headers: str,
    length: Any = None,
    content_type: str = "application/json",
    version: str = "1.1",
) -> bytes:
    """A POST with Content-Length: that of its body, or `length`."""
    size = len(body) if length is None else length
    lines = ["Host: localhost", f"Content-Type: {content_type}", f"Content-Length: {size}"]
    return _head(f"POST {path} HTTP/{version}", *lines, *headers) + body


def chunked(*chunks: bytes, path: str = PREDICT) -> bytes:
    """A POST with a chunked body."""
    lines = ["Host: localhost", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")]
    return _head(f"POST {path} HTTP/1.1", *lines) + b"".join(parts)


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return _head(f"{method} {path} HTTP/1.1", "Host: localhost", *headers)


def text(value: str) -> bytes:
    """A message with `strData`."""
    return json.dumps({"strData": value}).encode()


def _head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1")


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The `strData` of a prediction."""
        return str(json.loads(self.body)["strData"])

    @property
    def info(self) -> str:
        """The message of an error in Seldon's format."""
        return str(json.loads(self.body)["status"]["info"])


class Connection:
    """A connection to a server, on which answers arrive in order."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # send at once
        self._file = self.socket.makefile("rb")

    def send(self, *requests: bytes) -> None:
        """Send bytes unchanged."""
        self.socket.sendall(b"".join(requests))

    def answer(self, *, has_body: bool = True) -> Answer:
        """Read the next answer. Raises `ConnectionError` if the connection ends instead."""
        start = self._file.readline()
        if not start:
            raise ConnectionError("closed without an answer")
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0)) if has_body else 0
        return Answer(int(start.split()[1]), headers, self._file.read(length))

    def ask(self, request: bytes) -> Answer:
        """Send a request and return the answer."""
        self.send(request)
        return self.answer()

    def is_closed(self) -> bool:
        """Wait until the server closes; return False if it sends more bytes instead."""
        return self._file.read(1) == b""

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a connection until the block ends."""
    connection = Connection(url)
    try:
        yield connection
    finally:
        connection.close()
