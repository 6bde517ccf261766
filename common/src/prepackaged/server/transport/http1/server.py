"""A REST port: its listener, and the connections from their first to their last response."""

import asyncio
import socket
from collections.abc import Sequence

from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.http1.connection import HttpConnection
from prepackaged.server.transport.http1.port import HttpPort
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import Router, WireProtocol
from prepackaged.server.transport.sockets import BACKLOG

POLL_SECONDS = 0.01


class HttpServer:
    """Answers the REST requests of some protocols on one port."""

    def __init__(
        self, protocols: Sequence[WireProtocol], limits: Limits, observe: Observer
    ) -> None:
        self._port = HttpPort(Router(protocols), limits, observe)

    async def start(self, listener: socket.socket) -> None:
        """Accept connections from an open socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connect, sock=listener, backlog=BACKLOG)

    def replace(self, protocols: Sequence[WireProtocol]) -> None:
        """Answer new requests by these protocols from now on."""
        self._port.router.replace(protocols)

    def connect(self) -> asyncio.Protocol:
        """The asyncio protocol of a client's connection."""
        return HttpConnection(self._port)

    async def stop(self) -> None:
        """Accept nothing new; return when all open requests have their responses.

        If cancelled, close the remaining connections immediately.
        """
        self._port.is_shutting_down = True
        self._server.close()
        try:
            for connection in list(self._port.connections):
                connection.shut_down()
            while self._port.connections:
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for connection in list(self._port.connections):
                connection.abort()
