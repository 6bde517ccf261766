"""The ports of one process: REST, gRPC and metrics around one model, opened and closed in order."""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from prepackaged.server.inference.predictor import Dispatcher
from prepackaged.server.protocols.seldon.flask_compat import FlaskCompat, needs_flask
from prepackaged.server.protocols.seldon.grpc import METHOD_OF as GRPC_METHOD_OF
from prepackaged.server.protocols.seldon.rest import METHOD_OF, failure, routes_of, short_routes_of
from prepackaged.server.runtime.config import Config
from prepackaged.server.telemetry.access_log import AccessLog
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.server.telemetry.observer import build_info, observer
from prepackaged.server.telemetry.tracing import start_tracing
from prepackaged.server.transport.grpc.server import Server as GrpcServer
from prepackaged.server.transport.grpc.server import start as start_grpc
from prepackaged.server.transport.http1.app import Application, HttpRequest, HttpResponse
from prepackaged.server.transport.http1.connection import BoundedProtocol, Bounds
from prepackaged.server.transport.http1.protocol import bounded, short_way
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.http2.connection import Limits
from prepackaged.server.transport.sockets import listen

logger = logging.getLogger(__name__)

LAST_SECONDS = 0.5  # for answers to reach their clients once the grace is over
OTHER_FILES = 256  # that a process may have open beside REST's connections


class RunningServer:
    """What a process serves, from `start` to `stop`. Made on the event loop."""

    def __init__(self, model: Any, config: Config) -> None:
        self.config = config
        self.metrics = Metrics()
        self.metrics.set_gauge("prepackaged_build_info", 1, **build_info())
        self.tracing = start_tracing(config.interface) if config.tracing else None
        self._flask = FlaskCompat(model) if needs_flask(model) else None
        self.dispatcher = Dispatcher(
            model,
            self.metrics,
            max_waiting=config.max_waiting,
            timeout=config.timeout,
            around=[side.around for side in (self._flask, self.tracing) if side],
            may_batch=self._flask is None,
        )
        log = AccessLog(config.access_log_format) if config.access_log else None
        kinds = METHOD_OF | GRPC_METHOD_OF
        self._observe = observer(self.metrics, kinds, log, self.tracing)
        self._http: list[HttpServer] = []
        self._grpc: GrpcServer | None = None

    @classmethod
    async def of(cls, model: Any, config: Config) -> "RunningServer":
        """The server of a loaded model."""
        return cls(model, config)

    async def start(
        self, rest: socket.socket | None = None, grpc: socket.socket | None = None
    ) -> None:
        """Open the ports, REST last: whoever finds it open finds everything there.

        Sockets are given where they are open already. In one of several workers they are
        shared, and the metrics port is the parent's.
        """
        config = self.config
        is_shared = config.workers > 1
        if not is_shared:
            self._http.append(await serve_metrics(config, self._exposition))
        if config.serves_grpc:
            grpc = grpc or listen("grpc", config.grpc_port, is_shared=is_shared)
            self._grpc = await self._serve_grpc(grpc)
        rest = rest or listen("http", config.http_port, is_shared=is_shared)
        self._http.append(await self._serve_rest(rest))
        logger.info("Process %d serves on http://0.0.0.0:%d", os.getpid(), config.http_port)

    async def stop(self) -> int | None:
        """Take nothing new, answer what was taken, close.

        When the grace is over, whoever still waits for the model is refused. How many these
        are; None where the model was idle by then. The thread of one that hangs is left behind.
        """
        closing = asyncio.create_task(self._close())
        await asyncio.wait({closing}, timeout=self.config.grace)
        unanswered = self.dispatcher.give_up()
        await asyncio.wait({closing}, timeout=LAST_SECONDS)
        closing.cancel()
        self.dispatcher.close()
        if self.tracing:
            await self.tracing.stop()
        return unanswered

    async def _close(self) -> None:
        stops = [server.stop() for server in self._http]
        if self._grpc:
            self._grpc.set_not_serving()
            stops.append(self._grpc.stop(self.config.grace + LAST_SECONDS))
        await asyncio.gather(*stops)
        await self.dispatcher.drained()

    async def _exposition(self) -> tuple[bytes, str]:
        return self.metrics.exposition()

    async def _serve_grpc(self, listener: socket.socket) -> GrpcServer:
        return await start_grpc(
            self.dispatcher.with_timeout(self.config.grpc_timeout),
            listener,
            observe=self._observe,
            limits=Limits(self.config.max_message, connections_of(self.config)),
        )

    async def _serve_rest(self, listener: socket.socket) -> HttpServer:
        bounds, passes_payload = bounds_of(self.config), self.config.passes_payload
        routes = routes_of(self.dispatcher, passes_payload=passes_payload)
        if self._flask:
            routes = self._flask.wrapped(routes)
        is_short = not (self._flask or passes_payload)
        application = Application(routes, failure, max_body=bounds.max_body, observe=self._observe)
        protocol = short_way(
            short_routes_of(self.dispatcher) if is_short else {},
            bounds,
            lambda error: failure(error).body,
            self._observe,
        )
        return await HttpServer.started_on(listener, application, protocol, self.config.keepalive)


def bounds_of(config: Config) -> Bounds:
    """What REST's clients may ask for."""
    return Bounds(config.max_body, connections_of(config), exempt=frozenset({b"/health/ping"}))


def connections_of(config: Config) -> int:
    """How many connections a port may have: no more than files may be open."""
    most, (files, _) = config.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, max(files - OTHER_FILES, 1))


async def serve_metrics(
    config: Config, exposition: Callable[[], Awaitable[tuple[bytes, str]]]
) -> HttpServer:
    """Serve what `exposition` gives, a body and its content type, on the metrics port."""

    async def expose(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a route's shape
        body, content_type = await exposition()
        return HttpResponse(body, content_type=content_type)

    routes = {config.metrics_path: {"GET": expose}}
    application = Application(routes, failure, max_body=0, observe=None)
    listener = listen("metrics", config.metrics_port)
    return await HttpServer.started_on(listener, application, unobserved(), config.keepalive)


def unobserved() -> type[BoundedProtocol]:
    """A protocol for what has no predictions: what is asked is short, and nobody counts it."""
    return bounded(Bounds(max_body=2**20), lambda error: failure(error).body, lambda *_: None)
