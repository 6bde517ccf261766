"""One port for REST over HTTP/1 and HTTP/2, and for gRPC, as Knative requires.

HTTP/2 is without TLS and with prior knowledge (RFC 9113, 3.3).
"""

from collections.abc import Sequence

from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.grpc.headers import CONTENT_TYPE
from prepackaged.server.transport.grpc.server import Methods
from prepackaged.server.transport.http1.port import SENDER_SECONDS
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.server.transport.http2.headers import Headers
from prepackaged.server.transport.http2.port import IDLE_SECONDS, Http2Port, StreamUser
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.one_port.first_bytes import FirstBytes
from prepackaged.server.transport.one_port.requests import RestStreams
from prepackaged.server.transport.routing import WireProtocol


class OnePortServer(HttpServer):
    """A REST server that also accepts HTTP/2, and gRPC if there are `methods`."""

    def __init__(
        self,
        protocols: Sequence[WireProtocol],
        limits: Limits,
        observe: Observer,
        methods: Methods | None = None,
    ) -> None:
        super().__init__(protocols, limits, observe)
        self._methods = methods
        self._rest = RestStreams(self._port)
        self._http2_port = Http2Port(
            self._accept,
            self._port.connections,
            limits.max_connections,
            b"",
            limits.memory,
            limits.keepalive or SENDER_SECONDS,
        )

    def connect(self) -> FirstBytes:
        """A connection whose protocol is detected by its first bytes."""
        return FirstBytes(self._port, self._http2_port)

    def _accept(
        self,
        connection: Http2Connection,
        stream: int,
        headers: Headers,
        ended: bool,  # noqa: FBT001  as `http2.port.Accept` has it
    ) -> StreamUser | None:
        """A gRPC call or a REST request, by its content type."""
        if self._methods and is_call(headers):
            connection.idle_seconds = IDLE_SECONDS
            return self._methods.accept(connection, stream, headers, ended)
        return self._rest.accept(connection, stream, headers, ended)


def is_call(headers: Headers) -> bool:
    """Whether a stream is a gRPC call (gRPC over HTTP/2, "Requests")."""
    return any(
        name == b"content-type" and CONTENT_TYPE.fullmatch(value) for name, value in headers.fields
    )
