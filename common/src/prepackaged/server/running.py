"""The ports of one process: REST, gRPC and metrics around one model, opened and closed in order."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from prepackaged.errors import DeploymentError, NotReadyError
from prepackaged.server.config import Config
from prepackaged.server.grpc.server import Server as GrpcServer
from prepackaged.server.grpc.server import start as start_grpc
from prepackaged.server.http.app import Application, HttpError, HttpRequest, HttpResponse
from prepackaged.server.http.connection import Observer
from prepackaged.server.http.protocol import bounded, short_way
from prepackaged.server.http.routes import METHOD_OF, failure, ping, routes_of, short_routes_of
from prepackaged.server.logging import AccessLog
from prepackaged.server.metrics import Metrics
from prepackaged.server.seldon.dispatch import Dispatcher

logger = logging.getLogger(__name__)

BACKLOG = 2048
# For the ports that have no predictions: what they are asked is short, and nobody counts it.
UNOBSERVED = bounded(max_body=2**20, too_large=b"", observe=lambda *_: None)
GRACE_SECONDS = 25  # for requests in flight; Kubernetes kills after 30


class HttpServer(uvicorn.Server):
    """uvicorn's server without its signal handlers: the process has its own."""

    task: "asyncio.Task[None]"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    @classmethod
    async def started_on(
        cls, listener: socket.socket, application: Application, protocol: Any
    ) -> "HttpServer":
        """A server that answers on an open socket."""
        settings = uvicorn.Config(
            application,
            http=protocol,
            loop="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = cls(settings)
        server.task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.001)
        return server

    async def stop(self) -> None:
        """Take no new connections and return when those that are open have their answers."""
        self.should_exit = True
        await self.task


class RunningServer:
    """What a process serves, from `start` to `stop`. Made on the event loop."""

    def __init__(self, model: Any, config: Config) -> None:
        self.config = config
        self.metrics = Metrics()
        self.dispatcher = Dispatcher(
            model, self.metrics, max_waiting=config.max_waiting, timeout=config.timeout
        )
        self._http: list[HttpServer] = []
        self._grpc: GrpcServer | None = None

    async def start(self, listener: socket.socket | None = None) -> None:
        """Open the ports, REST last: whoever finds it open finds everything there.

        `listener` is REST's socket where it is open already. In one of several workers the
        ports are shared, and the metrics port is the parent's.
        """
        is_shared = self.config.workers > 1
        if not is_shared:
            self._http.append(await serve_metrics(self.config, self._exposition))
        if self.config.serves_grpc:
            limit, port = self.config.max_message, self.config.grpc_port
            self._grpc = await start_grpc(
                self.dispatcher, port, max_message=limit, share_port=is_shared
            )
        listener = listener or listen(self.config.http_port, is_shared=is_shared)
        self._http.append(await self._serve_rest(listener))
        logger.info("Process %d serves on http://0.0.0.0:%d", os.getpid(), self.config.http_port)

    async def stop(self) -> bool:
        """Take nothing new, answer what was taken, close.

        False when the model still hangs in a call that nothing can end but the process's end.
        """
        deadline = asyncio.get_running_loop().time() + GRACE_SECONDS
        stops = [server.stop() for server in self._http]
        if self._grpc:
            self._grpc.set_not_serving()
            stops.append(self._grpc.stop(GRACE_SECONDS))
        await asyncio.gather(*stops)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self.dispatcher.engine.drained()
        self.dispatcher.engine.close()
        return self.dispatcher.engine.in_flight == 0

    async def _exposition(self) -> tuple[bytes, str]:
        return self.metrics.exposition()

    async def _serve_rest(self, listener: socket.socket) -> HttpServer:
        observe = self._observer(AccessLog() if self.config.access_log else None)
        limit = self.config.max_body
        too_large = failure(HttpError(413, f"the body has more than {limit} bytes")).body
        application = Application(
            routes_of(self.dispatcher), failure, max_body=limit, observe=observe
        )
        protocol = short_way(
            short_routes_of(self.dispatcher), max_body=limit, too_large=too_large, observe=observe
        )
        return await HttpServer.started_on(listener, application, protocol)

    def _observer(self, log: AccessLog | None) -> Observer:
        def observe(method: str, path: str, status: int, size: int, seconds: float) -> None:
            self.metrics.observe_request(METHOD_OF.get(path, "other"), status, seconds)
            if log:
                log(method, path, status, size, seconds)

        return observe


async def serve_metrics(
    config: Config, exposition: Callable[[], Awaitable[tuple[bytes, str]]]
) -> HttpServer:
    """Serve what `exposition` gives, a body and its content type, on the metrics port."""

    async def expose(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a route's shape
        body, content_type = await exposition()
        return HttpResponse(body, content_type=content_type)

    routes = {config.metrics_path: {"GET": expose}}
    application = Application(routes, failure, max_body=0, observe=None)
    return await HttpServer.started_on(listen(config.metrics_port), application, UNOBSERVED)


async def serve_not_ready(listener: socket.socket) -> HttpServer:
    """Answer on REST's socket while the model loads: alive, and 503 to everything else."""

    def not_ready(error: Exception) -> HttpResponse:  # noqa: ARG001  whatever was asked for
        told = failure(NotReadyError("the model is being loaded"))
        return HttpResponse(told.body, 503, headers={"Retry-After": "1"})

    application = Application({"/health/ping": {"GET": ping}}, not_ready, max_body=0, observe=None)
    return await HttpServer.started_on(listener.dup(), application, UNOBSERVED)


def listen(port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket that listens; with `is_shared`, several processes may share the port.

    Raises `DeploymentError` when the port is not free.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(("0.0.0.0", port))  # noqa: S104  a container's ports are for its network
    except OSError as error:
        raise DeploymentError(f"port {port} cannot be opened: {error.strerror}") from error
    listener.listen(BACKLOG)
    return listener
