"""Health and reflection: streams that last until the client ends them, or the server stops."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

Status = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """grpc.health.v1: all services, and the server itself by the name "", have one status.

    Made on the event loop. `is_over` is done when streams are to end.
    """

    def __init__(self, services: Collection[str]) -> None:
        self._services = {"", *services}
        self._status: Any = Status.SERVING
        self._change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def set_not_serving(self) -> None:
        """Tell whoever asks or watches that this server should not be used."""
        self._status = Status.NOT_SERVING
        self._notify()

    def end(self) -> None:
        """End every stream."""
        if not self.is_over.done():
            self.is_over.set_result(None)
        self._notify()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  the call's name
        """The status of a service now."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service}")
        return Status(status=self._status)

    async def Watch(  # noqa: N802  the call's name
        self,
        request: Any,
        context: Any,  # noqa: ARG002  the call's shape
    ) -> AsyncIterator[Any]:
        """The status of a service now and whenever it changes."""
        while not self.is_over.done():
            change = self._change
            known = request.service in self._services
            yield Status(status=self._status if known else Status.SERVICE_UNKNOWN)
            await asyncio.shield(change)

    def _notify(self) -> None:
        change, self._change = self._change, self._change.get_loop().create_future()
        change.set_result(None)


class Reflection(reflection.aio.ReflectionServicer):
    """grpc.reflection, with conversations that are over when the health's streams are."""

    def __init__(self, services: Collection[str], is_over: "asyncio.Future[None]") -> None:
        super().__init__(services)
        self._is_over = is_over

    # The stubs have a coroutine here, but it is a generator, there and so here.
    async def ServerReflectionInfo(  # type: ignore[override]  # noqa: N802  the call's name
        self, questions: Any, context: Any
    ) -> AsyncIterator[Any]:
        """Answer questions about the services."""
        answers: Any = super().ServerReflectionInfo(self._asked(questions), context)
        async for answer in answers:
            yield answer

    async def _asked(self, questions: Any) -> AsyncIterator[Any]:
        while True:
            next_one = asyncio.ensure_future(anext(questions, None))
            try:
                await asyncio.wait({next_one, self._is_over}, return_when=asyncio.FIRST_COMPLETED)
                question = next_one.result() if next_one.done() else None
            finally:
                next_one.cancel()
            if question is None:
                return
            yield question
