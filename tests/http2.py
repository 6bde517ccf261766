"""An HTTP/2 client on a socket, with prior knowledge; `h2` checks the server's frames."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from waiting import SECONDS

HEAD = 9  # bytes of a frame header (RFC 9113, 4.1)
GOAWAY = 7


@dataclass
class Answer:
    """The answer on a stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    informational: list[int] = field(default_factory=list)
    reset: int | None = None
    is_whole: bool = False


class Http2Client:
    """A connection, and the answers on its streams."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        self.h2 = H2Connection(config)  # so that tests can send invalid headers
        self.answers: dict[int, Answer] = {}
        self.ended_with: int | None = None  # the error code of GOAWAY
        self._rest = b""
        self.h2.initiate_connection()

    def preface(self) -> bytes:
        """The first bytes of a client's connection."""
        return bytes(self.h2.data_to_send())

    def begin(self, method: str, path: str, *headers: tuple[str, str], ends: bool = True) -> int:
        """Send the headers of a request and return its stream."""
        stream = int(self.h2.get_next_available_stream_id())
        pseudo = [(":method", method), (":path", path), (":scheme", "http")]
        given = [*pseudo, (":authority", "localhost"), *headers]
        self.h2.send_headers(stream, given, end_stream=ends)
        self.answers[stream] = Answer()
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, ends: bool = True) -> None:
        """Send data as the server's flow-control windows allow."""
        while data and not self.answers[stream].is_whole:
            size = min(self.h2.local_flow_control_window(stream), 16_384, len(data))
            if size:
                self.h2.send_data(stream, data[:size])
                self.flush()
                data = data[size:]
            else:
                self.read()
        if ends and not self.answers[stream].is_whole:
            self.h2.end_stream(stream)
            self.flush()

    def answer(self, stream: int) -> Answer:
        """Read until the stream's answer is complete, and return it."""
        while not self.answers[stream].is_whole:
            assert self.read(), "closed without an answer"
        return self.answers[stream]

    def ask(self, method: str, path: str, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
        """Send a request and return the answer."""
        length = [("content-length", str(len(body)))] if body else []
        stream = self.begin(method, path, *length, *headers, ends=not body)
        if body:
            self.send(stream, body)
        return self.answer(stream)

    def flush(self) -> None:
        """Send pending bytes."""
        self.socket.sendall(self.h2.data_to_send())

    def read(self) -> bool:
        """Read from the server; return False once it has closed."""
        data = self.socket.recv(65_536)
        for event in self.h2.receive_data(self._less_goaways(data)):
            self._take(event)
        self.flush()
        return bool(data)

    def _less_goaways(self, data: bytes) -> bytes:
        """The complete frames except GOAWAY, since `h2` accepts nothing after one."""
        self._rest += data
        kept = b""
        while len(self._rest) >= HEAD and len(self._rest) >= (end := HEAD + self._size()):
            frame, self._rest = self._rest[:end], self._rest[end:]
            if frame[3] == GOAWAY:
                self.ended_with = int.from_bytes(frame[HEAD + 4 : HEAD + 8])
            else:
                kept += frame
        return kept

    def _size(self) -> int:
        return int.from_bytes(self._rest[:3])

    def read_until_closed(self) -> None:
        """Read until the server closes the connection; raises `TimeoutError` if it does not."""
        with suppress(ConnectionError):
            while self.read():
                pass

    def _take(self, event: Any) -> None:
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0)
        if answer is None:
            return
        match event:
            case InformationalResponseReceived():
                answer.informational.append(int(dict(event.headers)[":status"]))
            case ResponseReceived():
                fields = dict(event.headers)
                answer.status = int(fields.pop(":status"))
                answer.headers = fields
            case DataReceived():
                answer.body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                answer.is_whole = True
            case StreamReset():
                answer.reset, answer.is_whole = int(event.error_code), True


@contextmanager
def http2(url: str) -> Iterator[Http2Client]:
    """A connection that has sent its preface, until the block ends."""
    client = Http2Client(url)
    try:
        client.flush()
        yield client
    finally:
        client.socket.close()
