"""The server of one process: REST, gRPC and metrics ports for one model."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from prepackaged.errors import NotReadyError
from prepackaged.server.inference.engine import Submit
from prepackaged.server.protocols.grpc_health import NAME as HEALTH_NAME
from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.grpc_reflection import Reflection
from prepackaged.server.protocols.seldon.protocol import not_ready as seldon_not_ready
from prepackaged.server.protocols.v2.descriptors import POOL as V2_POOL
from prepackaged.server.protocols.v2.repository import Change
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.files import max_connections
from prepackaged.server.runtime.memory import for_requests, give_back_after_peaks
from prepackaged.server.runtime.metrics_port import serve_metrics
from prepackaged.server.runtime.model_service import MakeProtocol, ModelService, Surroundings
from prepackaged.server.runtime.protocols import SERVICES, others_not_ready
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


class RunningServer:
    """A server that runs from `start` to `stop`. Create it on the event loop.

    `submit` runs functions on the model's thread, where `metadata` was read. `more` creates
    additional protocols. Set `on_change` before the start if clients may load and unload the model.
    """

    on_change: Change | None = None

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
        self.tracing = start_tracing(config.interface) if config.tracing else None
        change = self._change if config.repository_api else None
        self._around = Surroundings(
            config,
            submit,
            metrics,
            self.tracing,
            is_ending=lambda: self._is_ending,
            another_hangs=lambda: any(each.predictor.is_stuck for each in self._retired),
            change=change,
            more=more,
        )
        self._retired: set[ModelService] = set()
        self._service: ModelService | None = self._serving(model, metadata)
        counted_as = {
            path: kind for each in self._protocols for path, kind in each.counted_as.items()
        }
        log = (
            AccessLog(config.access_log_format, patient(sys.stdout)) if config.access_log else None
        )
        self._observe = observer(self.metrics, counted_as, log, self.tracing)
        self._memory = MemoryBudget(config.request_memory or for_requests(config.workers))
        self._http: list[HttpServer] = []
        self._methods: list[Methods] = []
        self._grpc: GrpcServer | None = None
        self._health = Health(SERVICES)
        self._is_ending = False
        self._set_gauges()

    @classmethod
    async def of(cls, *parts: Any) -> "RunningServer":
        """Create a server from a thread that has no event loop."""
        return cls(*parts)

    @property
    def service(self) -> ModelService:
        """The served model. Raises `NotReadyError` if it is unloaded."""
        if self._service is None:
            raise NotReadyError("there is no model")
        return self._service

    @property
    def has_model(self) -> bool:
        """Whether a model is served."""
        return self._service is not None

    @property
    def hangs(self) -> bool:
        """Whether a call to this model or a replaced one exceeds the time limit."""
        return any(each.predictor.hangs for each in self._services())

    def replace(self, model: Any, metadata: dict[str, Any] | None) -> ModelService | None:
        """Serve new requests with another model; return the old one, to be retired."""
        old, self._service = self._service, self._serving(model, metadata)
        self._route(is_serving=True)
        return old

    def unload(self, why: str) -> ModelService | None:
        """Refuse new requests because of `why`; return the old model, to be retired."""
        old, self._service = self._service, None
        around = self._around
        self._protocols = [
            *others_not_ready(why, self.config, around.change, around.another_hangs),
            seldon_not_ready(why, around.another_hangs),
        ]
        self._route(is_serving=False)
        return old

    async def retire(self, old: ModelService) -> None:
        """Wait until a replaced model has answered its last request."""
        self._retired.add(old)
        try:
            await old.predictor.drained()
        finally:
            self._retired.discard(old)

    def _serving(self, model: Any, metadata: dict[str, Any] | None) -> ModelService:
        service = ModelService(model, metadata, self._around)
        self.metrics.set_info("prepackaged_build_info", build_info(self.config.image, model))
        self._protocols = service.protocols
        return service

    def _route(self, *, is_serving: bool) -> None:
        self._health.set_status(is_serving=is_serving and not self._is_ending)
        for server in self._http[-1:]:  # not the server of the metrics port
            server.replace(self._protocols)
        for methods in self._methods:
            methods.replace([*self._protocols, *own_protocols(self._health)])

    async def _change(self, what: str) -> None:
        if self.on_change is None:
            raise NotReadyError("the server is starting")
        await self.on_change(what)

    async def answer(self, method: str, path: str, body: bytes = b"") -> Response:
        """The response to a JSON request over REST from this process."""
        return await ask(self._protocols, method, path, body)

    async def start(
        self, rest: socket.socket | None = None, grpc: socket.socket | None = None
    ) -> None:
        """Open the ports, REST last, so that an open REST port means that all are open.

        `rest` and `grpc` are the sockets that are open already. Several workers share the ports,
        and their parent serves the metrics port.
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
        """Refresh the metrics; exit at once if the model hangs, so that the worker is replaced."""
        self.metrics.refresh()
        if self.hangs:
            bound = self.config.longest_call
            logger.critical("a call to the model has not ended within %g s", bound)
            end_now(1)

    async def stop(self) -> int | None:
        """Stop accepting requests, answer the accepted ones, and close.

        When the grace period is over, requests that still wait for the model are refused. Returns
        their number, None if the model was idle by then.
        """
        times = self.config.shutdown
        closing = asyncio.create_task(self._close())
        await asyncio.wait({closing}, timeout=times.grace)
        unanswered = self._give_up()
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
            self._health.set_status(is_serving=False)
            stops.append(self._grpc.stop(times.grace + times.flush))
        await asyncio.gather(*stops)
        for service in self._services():
            await service.predictor.drained()

    def _set_gauges(self) -> None:
        """Set the gauges for requests, over all predictors, and for batching of the served one."""

        def total(what: str) -> int:
            return sum(int(getattr(each.predictor.engine, what)) for each in self._services())

        def is_batching() -> float:
            return float(self._service is not None and self._service.predictor.batcher.is_on)

        self.metrics.set_gauge("prepackaged_queue_depth_requests", lambda: total("waiting"))
        self.metrics.set_gauge("prepackaged_in_flight_requests", lambda: total("in_flight"))
        self.metrics.set_gauge("prepackaged_batching_enabled", is_batching)

    def _services(self) -> list[ModelService]:
        return [*self._retired, *([self._service] if self._service else [])]

    def _give_up(self) -> int | None:
        """Refuse the waiting requests; return their number, None if no model is busy."""
        counts = [each.predictor.give_up() for each in self._services()]
        busy = [count for count in counts if count is not None]
        return sum(busy) if busy else None

    async def _exposition(self) -> tuple[bytes, str]:
        return self.metrics.exposition()

    async def _serve_grpc(self, listener: socket.socket) -> GrpcServer:
        limits = self._grpc_limits()
        return await GrpcServer.started_on(listener, self._calls(limits), limits)

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
        methods = self._calls(self._grpc_limits()) if config.serves_grpc else None
        server = OnePortServer(self._protocols, limits, self._observe, methods)
        await server.start(listener)
        return server

    def _calls(self, limits: Limits) -> Methods:
        methods = grpc_methods(self._protocols, self._health, limits, self._observe)
        self._methods.append(methods)
        return methods

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
    """The gRPC methods of these protocols, and of health and reflection."""
    return Methods([*protocols, *own_protocols(health)], limits, observe)


def own_protocols(health: Health) -> list[WireProtocol]:
    """The protocols that every gRPC server has: health and reflection."""
    names = [*SERVICES, HEALTH_NAME]
    return [health.protocol(), Reflection(names, [V2_POOL]).protocol()]
