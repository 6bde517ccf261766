"""The metrics port, which serves one path for Prometheus."""

from collections.abc import Awaitable, Callable

from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.seldon.errors import http_failure
from prepackaged.server.runtime.config import Config
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import WireProtocol, asynchronous
from prepackaged.server.transport.sockets import listen

MAX_BODY = 2**16  # bytes; scrapes have no body
MAX_CONNECTIONS = 100  # each scrape needs one


async def serve_metrics(
    config: Config, exposition: Callable[[], Awaitable[tuple[bytes, str]]]
) -> HttpServer:
    """Serve the body and content type that `exposition` returns on the metrics port."""

    async def expose(exchange: Exchange) -> Response:  # noqa: ARG001  the signature of a route
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
