"""The metrics port: one path, which Prometheus reads."""

from collections.abc import Awaitable, Callable

from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.seldon.errors import http_failure
from prepackaged.server.runtime.config import Config
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import WireProtocol, asynchronous
from prepackaged.server.transport.sockets import listen

MAX_BODY = 2**16  # bytes; a scrape has none
MAX_CONNECTIONS = 100  # a scrape needs one


async def serve_metrics(
    config: Config, exposition: Callable[[], Awaitable[tuple[bytes, str]]]
) -> HttpServer:
    """Serve what `exposition` returns, a body and its content type, on the metrics port."""

    async def expose(exchange: Exchange) -> Response:  # noqa: ARG001  a route's shape
        body, content_type = await exposition()
        return Response(body, content_type=content_type)

    protocol = WireProtocol(
        prefix="",
        http_failure=http_failure,
        grpc_failure=grpc_failure,
        routes={config.metrics_path: {"GET": asynchronous(expose)}},
    )
    limits = Limits(MAX_BODY, MAX_CONNECTIONS, keepalive=config.keepalive)
    server = HttpServer([protocol], limits, lambda *_: None)
    await server.start(listen("metrics", config.metrics_port, config.host))
    return server
