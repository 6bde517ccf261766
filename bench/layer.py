"""An HTTP or gRPC layer without an application: `python bench/layer.py NAME PORT`.

Each layer responds to every request at once with the same small message.
"""

import asyncio
import math
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import httptools
import uvicorn
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.grpc.server import NOT_HTTP2, Methods
from prepackaged.server.transport.http1.connection import HttpConnection
from prepackaged.server.transport.http1.port import HttpPort
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.server.transport.http2.port import Http2Port
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import Router, WireProtocol

ANSWER = b'{"data":{"names":["t:0","t:1"],"ndarray":[[0.25,0.75]]},"meta":{}}\n'
SIZE = str(len(ANSWER)).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", SIZE)]
RESPONSE = b"".join(
    (b"HTTP/1.1 200 OK\r\n", *(b"%b: %b\r\n" % each for each in HEADERS), b"\r\n", ANSWER)
)
HOST = "127.0.0.1"
PATH = "/seldon.protos.Seldon/Predict"
REST_PATH = "/api/v1.0/predictions"

Serving = Coroutine[Any, Any, None]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application with the constant response."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


class Subclass(HttpToolsProtocol):
    """A subclass of uvicorn's protocol that responds without starting the ASGI application."""

    def on_headers_complete(self) -> None:
        """Do not start the application's task."""

    def on_body(self, body: bytes) -> None:
        """Discard the body."""

    def on_message_complete(self) -> None:
        """Answer."""
        self.transport.write(RESPONSE)


class Httptools(asyncio.Protocol):
    """An asyncio protocol on httptools, uvicorn's parser."""

    def connection_made(self, transport: Any) -> None:
        """Store the transport, and create a parser."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse the data."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        self.transport.write(RESPONSE)


def our_http() -> Callable[[], HttpConnection]:
    """Our server's HTTP/1 connection, with an exchange for each request."""
    protocol = WireProtocol("", failure, failure, routes={REST_PATH: {"GET": answer}})
    port = HttpPort(Router([protocol]), Limits(), observe)
    return lambda: HttpConnection(port)


class WithH2(asyncio.Protocol):
    """A gRPC protocol on `h2` without header validation."""

    def connection_made(self, transport: Any) -> None:
        """Send the server's connection preface."""
        self.transport = transport
        self.h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request."""
        for event in self.h2.receive_data(data):
            if isinstance(event, DataReceived):
                size, stream = event.flow_controlled_length, event.stream_id
                self.h2.acknowledge_received_data(size, stream)
            elif isinstance(event, StreamEnded):
                self.answer(event.stream_id)
        self.transport.write(self.h2.data_to_send())

    def answer(self, stream: int) -> None:
        """Send headers, message and trailers."""
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        self.h2.send_data(stream, b"\0" + len(ANSWER).to_bytes(4, "big") + ANSWER)
        self.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)


class Constant(grpc.GenericRpcHandler):
    """A handler for any method in grpcio."""

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler."""
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, request: bytes, context: Any) -> bytes:
        """Return the constant response."""
        return ANSWER


async def with_uvicorn(port: int, **settings: Any) -> None:
    """Serve with uvicorn and these settings."""
    config = uvicorn.Config(application, HOST, port, lifespan="off", access_log=False, **settings)
    await uvicorn.Server(config).serve()


async def with_protocol(port: int, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
    """Serve with asyncio and this protocol."""
    server = await asyncio.get_running_loop().create_server(protocol, HOST, port)
    await server.serve_forever()


async def with_grpcio(port: int) -> None:
    """Serve with grpcio on asyncio."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Constant(),))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


def frames() -> Callable[[], Http2Connection]:
    """Our server's HTTP/2 connection, with an exchange for each call and default limits."""
    protocol = WireProtocol("/", failure, failure, methods={PATH: answer})
    methods = Methods([protocol], Limits(), observe)
    port = Http2Port(methods.accept, set(), math.inf, NOT_HTTP2)
    return lambda: Http2Connection(port)


def answer(exchange: Exchange) -> None:
    """Send the constant response."""
    exchange.respond(Response(ANSWER))


def failure(exchange: Exchange, error: BaseException) -> Response:
    """Raise the error, because no request should fail here."""
    raise error


def observe(context: Any, status: int, size: int, code: str = "") -> None:
    """Record nothing."""


REST: dict[str, Callable[[int], Serving]] = {
    "uvicorn, ASGI": lambda port: with_uvicorn(port, http="httptools"),
    "uvicorn, a subclass of its protocol": lambda port: with_uvicorn(port, http=Subclass),
    "httptools on asyncio": lambda port: with_protocol(port, Httptools),
    "our connection, on httptools": lambda port: with_protocol(port, our_http()),
}
GRPC: dict[str, Callable[[int], Serving]] = {
    "grpcio on asyncio": with_grpcio,
    "h2": lambda port: with_protocol(port, WithH2),
    "our frames, hpack": lambda port: with_protocol(port, frames()),
}


if __name__ == "__main__":
    uvloop.run({**REST, **GRPC}[sys.argv[1]](int(sys.argv[2])))
