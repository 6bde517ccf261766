"""The server of one process: REST, gRPC and metrics ports for one model."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from prepackaged.server.inference.engine import Submit
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.grpc_health import NAME as HEALTH_NAME
from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.grpc_reflection import Reflection
from prepackaged.server.protocols.pages.protocol import Pages
from prepackaged.server.protocols.seldon.flask_compat import FlaskCompat, needs_flask
from prepackaged.server.protocols.seldon.methods import Unit
from prepackaged.server.protocols.seldon.protocol import seldon
from prepackaged.server.protocols.seldon.rest import PREDICTIONS
from prepackaged.server.protocols.v2.descriptors import POOL as V2_POOL
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.files import max_connections
from prepackaged.server.runtime.memory import for_requests, give_back_after_peaks
from prepackaged.server.runtime.metrics_port import serve_metrics
from prepackaged.server.runtime.protocols import SERVICES, of_platform, others
from prepackaged.server.runtime.shutdown import end_now
from prepackaged.server.runtime.standard_streams import patient
from prepackaged.server.telemetry.access_log import AccessLog
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.server.telemetry.observer import build_info, observer
from prepackaged.server.telemetry.tracing import start_tracing
from prepackaged.server.transport.exchange import Response
from prepackaged.server.transport.grpc.server import GrpcServer, Methods
from prepackaged.server.transport.http1.server import HttpServer
from prepackaged.server.transport.in_process import ask
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.memory import MemoryBudget
from prepackaged.server.transport.one_port.server import OnePortServer
from prepackaged.server.transport.routing import WireProtocol
from prepackaged.server.transport.sockets import listen

logger = logging.getLogger(__name__)

#: Makes a further protocol for the model behind a predictor.
MakeProtocol = Callable[[Predictor], WireProtocol]


class RunningServer:
    """A running server, from `start` to `stop`. Create it on the event loop.

    `submit` runs functions on the model's thread, where `metadata` was read. `more` are further
    protocols.
    """

    def __init__(
        self,
        model: Any,
        metadata: dict[str, Any] | None,
        config: Config,
        submit: Submit,
        metrics: Metrics,
        more: Sequence[MakeProtocol] = (),
    ) -> None:
        self.config = config
        self.metrics = metrics
        self.metrics.set_gauge("prepackaged_build_info", 1, **build_info(config.image, model))
        self.tracing = start_tracing(config.interface) if config.tracing else None
        flask = FlaskCompat(model) if needs_flask(model) else None
        self.predictor = Predictor(
            model,
            self.metrics,
            submit,
            max_waiting=config.max_waiting,
            max_wait=config.max_wait,
            max_rows=config.max_batch_rows,
            max_bytes=config.max_batch_bytes,
            longest_call=config.longest_call,
            around=[side.around for side in (flask, self.tracing) if side],
            may_batch=flask is None and config.batches,
            counts_drift=config.drift,
        )
        first = seldon(
            self.predictor,
            metadata,
            Unit.of(config.unit_id, config.image),
            flask=flask,
            passes_payload=config.passes_payload,
            allows_origins=config.cors,
        )
        guests = [
            *others(self.predictor, config, lambda: self._is_ending),
            *(make(self.predictor) for make in more),
        ]
        self._protocols = [*of_platform(self.predictor, config), first, *guests]
        paths = {path: item for each in self._protocols for path, item in each.openapi.items()}
        self.pages = Pages(self.predictor, metadata or {}, config.image, PREDICTIONS[1], paths)
        if config.pages:
            place = self._protocols.index(first)  # before V1, which has a `/` too
            self._protocols.insert(place, self.pages.protocol(first.http_failure))
        log = (
            AccessLog(config.access_log_format, patient(sys.stdout)) if config.access_log else None
        )
        counted_as = {
            path: kind for each in self._protocols for path, kind in each.counted_as.items()
        }
        self._observe = observer(self.metrics, counted_as, log, self.tracing)
        self._memory = MemoryBudget(config.request_memory or for_requests(config.workers))
        self._http: list[HttpServer] = []
        self._grpc: GrpcServer | None = None
        self._health = Health(SERVICES)
        self._is_ending = False

    @classmethod
    async def of(cls, *parts: Any) -> "RunningServer":
        """Create one from a thread without an event loop."""
        return cls(*parts)

    async def answer(self, method: str, path: str, body: bytes = b"") -> Response:
        """The answer to a request for JSON over REST that comes from this process."""
        return await ask(self._protocols, method, path, body)

    async def start(
        self, rest: socket.socket | None = None, grpc: socket.socket | None = None
    ) -> None:
        """Open the ports, REST last, so that an open REST port means that all are open.

        Sockets are passed if they are open already. Several workers share them, and their parent
        serves the metrics port.
        """
        config = self.config
        is_shared = config.workers > 1
        self._giving_back = asyncio.create_task(give_back_after_peaks(self._memory, config.workers))
        if not is_shared:
            self._http.append(await serve_metrics(config, self._exposition))
        if config.serves_grpc:
            grpc = grpc or listen("grpc", config.grpc_port, config.host, is_shared=is_shared)
            self._grpc = await self._serve_grpc(grpc)
        rest = rest or listen("http", config.http_port, config.host, is_shared=is_shared)
        self._http.append(await self._serve_rest(rest))
        host = f"[{config.host}]" if ":" in config.host else config.host
        logger.info("Process %d serves on http://%s:%d", os.getpid(), host, config.http_port)

    def check(self) -> None:
        """Check whether the model hangs; if so, a worker exits at once."""
        self.metrics.refresh()
        if self.predictor.hangs:
            bound = self.config.longest_call
            logger.critical("a call of the model has not ended within %g s", bound)
            end_now(1)

    async def stop(self) -> int | None:
        """Accept nothing new, answer what was accepted, close.

        When the grace period is over, requests that still wait for the model are refused. Return
        their number, None if the model was idle by then.
        """
        times = self.config.shutdown
        closing = asyncio.create_task(self._close())
        await asyncio.wait({closing}, timeout=times.grace)
        unanswered = self.predictor.give_up()
        await asyncio.wait({closing}, timeout=times.flush)
        closing.cancel()
        self._giving_back.cancel()
        await asyncio.wait({closing})
        if self.tracing:
            await self.tracing.stop(times.export)
        return unanswered

    async def _close(self) -> None:
        times = self.config.shutdown
        self._is_ending = True
        stops = [server.stop() for server in self._http]
        if self._grpc:
            self._health.set_not_serving()
            stops.append(self._grpc.stop(times.grace + times.flush))
        await asyncio.gather(*stops)
        await self.predictor.drained()

    async def _exposition(self) -> tuple[bytes, str]:
        return self.metrics.exposition()

    async def _serve_grpc(self, listener: socket.socket) -> GrpcServer:
        limits = self._grpc_limits()
        return await GrpcServer.started_on(listener, self._methods(limits), limits)

    async def _serve_rest(self, listener: socket.socket) -> HttpServer:
        """Open the REST port, which also answers gRPC unless gRPC is off."""
        config = self.config
        limits = Limits(
            config.max_body,
            max_connections(config.max_connections),
            config.timeout,
            config.keepalive,
            exempt=frozenset({"/health/ping", "/v2/health/live"}),
            memory=self._memory,
        )
        methods = self._methods(self._grpc_limits()) if config.serves_grpc else None
        server = OnePortServer(self._protocols, limits, self._observe, methods)
        await server.start(listener)
        return server

    def _methods(self, limits: Limits) -> Methods:
        return grpc_methods(self._protocols, self._health, limits, self._observe)

    def _grpc_limits(self) -> Limits:
        config = self.config
        return Limits(
            config.max_message,
            max_connections(config.max_connections),
            config.grpc_timeout,
            config.keepalive,
            memory=self._memory,
        )


def grpc_methods(
    protocols: Sequence[WireProtocol], health: Health, limits: Limits, observe: Any
) -> Methods:
    """The gRPC methods of some protocols, with health and reflection."""
    names = [*SERVICES, HEALTH_NAME]
    own = [health.protocol(), Reflection(names, [V2_POOL]).protocol()]
    return Methods([*protocols, *own], limits, observe)
