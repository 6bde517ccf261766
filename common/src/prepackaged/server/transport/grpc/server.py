"""The gRPC server of one process."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence

from prepackaged.server.telemetry.context import Observer, RequestContext
from prepackaged.server.transport.connections import Connection
from prepackaged.server.transport.grpc.calls import UnaryCall, UnaryMethod
from prepackaged.server.transport.grpc.headers import read_headers
from prepackaged.server.transport.grpc.status import Status
from prepackaged.server.transport.grpc.stream_calls import StreamCall, StreamMethod
from prepackaged.server.transport.http2.connection import PREFACE_SECONDS, Http2Connection
from prepackaged.server.transport.http2.headers import Headers
from prepackaged.server.transport.http2.port import Http2Port
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import WireProtocol
from prepackaged.server.transport.sockets import BACKLOG

WHY_NOT_HTTP2 = b"this port speaks gRPC; REST is on another\n"
NOT_HTTP2 = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(WHY_NOT_HTTP2), WHY_NOT_HTTP2)
)

Method = UnaryMethod | StreamMethod


class Methods:
    """The methods of several protocols, by path; if two have the same path, the first wins."""

    def __init__(
        self, protocols: Sequence[WireProtocol], limits: Limits, observe: Observer
    ) -> None:
        self._limits = limits
        self._observe = observe
        self._unknown = StreamMethod(refuse_unknown, limits)
        self.replace(protocols)

    def replace(self, protocols: Sequence[WireProtocol]) -> None:
        """Route new calls to these protocols from now on."""
        self._methods: dict[str, Method] = {}
        limits = self._limits
        for protocol in reversed(protocols):
            observer = self._observe if protocol.is_observed else ignore
            for path, handler in protocol.methods.items():
                self._methods[path] = UnaryMethod(handler, protocol.grpc_failure, observer, limits)
            for path, stream in protocol.streams.items():
                self._methods[path] = StreamMethod(stream, limits)

    def accept(
        self,
        connection: Http2Connection,
        stream: int,
        headers: Headers,
        ended: bool,  # noqa: FBT001
    ) -> UnaryCall | StreamCall | None:
        """The call on a stream that a client opened; None if it is already over."""
        about = read_headers(headers)
        if about.refusal:
            connection.core.send_headers(stream, about.refusal, end=True)
            return None
        call = self._methods.get(about.path, self._unknown).call(connection, stream, about)
        if ended:
            call.data_received(b"", ended=True)
        return call if call.is_open else None


class GrpcServer:
    """A running server; `port` is its port, also if the system chose it."""

    def __init__(self, server: asyncio.Server, connections: set[Connection]) -> None:
        self._server = server
        self._connections = connections
        self.port = int(server.sockets[0].getsockname()[1])

    @classmethod
    async def started_on(
        cls, listener: socket.socket, methods: Methods, limits: Limits
    ) -> "GrpcServer":
        """Serve methods on an open socket."""
        port = Http2Port(methods.accept, set(), limits.max_connections, NOT_HTTP2, limits.memory)

        def connect() -> Http2Connection:
            connection = Http2Connection(port)
            connection.expect_preface_within(PREFACE_SECONDS)
            return connection

        loop = asyncio.get_running_loop()
        server = await loop.create_server(connect, sock=listener, backlog=BACKLOG)
        return cls(server, port.connections)

    async def stop(self, grace_seconds: float | None) -> None:
        """Accept no new calls; return when all calls are answered or the grace period ends."""
        self._server.close()
        for connection in list(self._connections):
            connection.shut_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds or 0):
                while self._connections:
                    await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()


def refuse_unknown(call: StreamCall, message: bytes | None) -> None:  # noqa: ARG001  a handler's
    """Answer a call to an unknown method when the client has sent all of it."""
    call.fail(Status.UNIMPLEMENTED, f"there is no {call.headers.path}")


def ignore(context: RequestContext, status: int, size: int, code: str = "") -> None:
    """Observe nothing."""
