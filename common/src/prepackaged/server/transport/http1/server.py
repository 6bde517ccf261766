"""uvicorn's server, told when to start and to stop by ours."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from prepackaged.server.transport.http1.app import Application


class HttpServer(uvicorn.Server):
    """uvicorn's server without its signal handlers: the process has its own."""

    task: "asyncio.Task[None]"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    @classmethod
    async def started_on(
        cls, listener: socket.socket, application: Application, protocol: Any, keepalive: float
    ) -> "HttpServer":
        """A server that answers on an open socket.

        It keeps connections for another request so many seconds.
        """
        settings = uvicorn.Config(
            application,
            http=protocol,
            loop="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=keepalive,  # type: ignore[arg-type]  # it is the loop that takes it
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
