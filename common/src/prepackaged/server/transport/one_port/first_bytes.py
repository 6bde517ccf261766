"""Detect the protocol of a connection: HTTP/2 begins with its preface, and HTTP/1 never does."""

import asyncio
from typing import Any

from prepackaged.server.transport.http1.connection import HttpConnection
from prepackaged.server.transport.http1.port import HttpPort
from prepackaged.server.transport.http2.connection import PREFACE_SECONDS, Http2Connection
from prepackaged.server.transport.http2.frames import PREFACE
from prepackaged.server.transport.http2.port import Http2Port


class FirstBytes(asyncio.Protocol):
    """A connection of unknown protocol, under HTTP/1's limits and timeouts."""

    def __init__(self, port: HttpPort, http2_port: Http2Port) -> None:
        self._port = port
        self._http2_port = http2_port
        self._http1 = HttpConnection(port)
        self._start = b""
        self._timer: asyncio.TimerHandle | None = None  # seconds for the rest of a possible preface

    def connection_made(self, transport: Any) -> None:
        """Wait for the first bytes as HTTP/1 does; uvloop's transports are no asyncio.Transport."""
        self._transport = transport
        self._http1.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client disconnected without a request."""
        self._stop_timer()
        self._http1.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on when they match, or cannot match, HTTP/2's preface (RFC 9113, 3.4)."""
        self._start = start = self._start + data
        if not PREFACE.startswith(start[: len(PREFACE)]):
            self._become_http1(start)
        elif len(start) >= len(PREFACE):
            self._become_http2(start)
        elif self._timer is None:
            seconds = self._port.sender_seconds(self._http1)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._transport.close)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _become_http1(self, start: bytes) -> None:
        self._stop_timer()
        self._transport.set_protocol(self._http1)
        self._http1.data_received(start)

    def _become_http2(self, start: bytes) -> None:
        self._stop_timer()
        self._http1.connection_lost(None)  # no request has begun
        connection = Http2Connection(self._http2_port)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        connection.expect_preface_within(PREFACE_SECONDS)  # and the settings after it
        connection.data_received(start)
        if self._port.is_shutting_down:
            connection.shut_down()
