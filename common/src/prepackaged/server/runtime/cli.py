"""`prepackaged-microservice Model`: read the settings, load the model, serve until told to end."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from prepackaged.errors import DeploymentError
from prepackaged.server.runtime.config import Config, read_annotations, read_config
from prepackaged.server.runtime.custom_service import start_custom_service
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loading import find_class, load_model
from prepackaged.server.runtime.memory import importing, settle
from prepackaged.server.runtime.server import RunningServer
from prepackaged.server.runtime.shutdown import end_at_once_on_signals, over_on_signals
from prepackaged.server.runtime.startup import EarlyServer
from prepackaged.server.runtime.workers import Parent, supervise
from prepackaged.server.telemetry.access_log import FORMAT

logger = logging.getLogger(__name__)

END_SECONDS = 2  # from the end of the grace to the end of the process


def main() -> None:
    """Serve the class that the command line names; the console script.

    Ends with status 1 and one last line when the server cannot start, and when an accepted
    request was not answered.
    """
    logging.basicConfig(format=FORMAT, level=logging.INFO)
    try:
        config = read_config(sys.argv[1:], os.environ, read_annotations())
        logging.getLogger().setLevel(config.log_level)
        if config.workers > 1:
            asyncio.run(supervise(work, config))
        else:
            serve(config)
    except DeploymentError as error:
        logger.critical("%s", error)
        sys.exit(1)


def work(config: Config, pipe: Connection) -> None:
    """Serve as one of several workers: what a spawned process runs."""
    logging.basicConfig(format=FORMAT, level=config.log_level)
    try:
        serve(config, pipe)
    except DeploymentError as error:
        with contextlib.suppress(OSError):  # the parent has ended
            pipe.send(str(error))  # for it to log
        sys.exit(1)


def serve(config: Config, pipe: Connection | None = None) -> None:
    """Load the model, then open the ports, then serve until told to end.

    What serves has a thread of its own. The main one loads the model, as it does under other
    servers, and then waits for the end, which so comes in time whatever the model does.
    """
    end_at_once_on_signals()
    start = time.perf_counter()
    with LoopThread() as loop:
        parent = loop.run(Parent.of(pipe)) if pipe else None
        early = EarlyServer(config) if config.opens_early else None
        if early:
            loop.run(early.start())
        with importing():
            find_class(config.interface)
        model = load_model(config.interface, config.parameters)
        server = loop.run(RunningServer.of(model, config))
        server.metrics.set_gauge("prepackaged_model_load_seconds", time.perf_counter() - start)
        settle()
        asyncio.run(guard(server, loop, early, parent))


async def guard(
    server: RunningServer, loop: LoopThread, early: EarlyServer | None, parent: Parent | None
) -> None:
    """Let a server serve until told to end, and see to it that it ends."""
    is_over = over_on_signals()
    if parent:
        here = asyncio.get_running_loop()
        parent.on_end = lambda: here.call_soon_threadsafe(is_over.set)
    await asyncio.wrap_future(loop.submit(begin(server, early, parent)))
    custom = start_custom_service(server.dispatcher.model, server.config)
    await wait_for(is_over, loop)
    await end(server, loop)
    if custom:
        custom.stop()


async def wait_for(is_over: asyncio.Event, loop: LoopThread) -> None:
    """Return when it is over. Raises what ended the loop, if that is first."""
    over: asyncio.Future[Any] = asyncio.ensure_future(is_over.wait())
    ended: asyncio.Future[Any] = asyncio.wrap_future(loop.ended)
    await asyncio.wait([over, ended], return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        ended.result()


async def end(server: RunningServer, loop: LoopThread) -> None:
    """Let the server end in order, or else the process without it."""
    try:
        async with asyncio.timeout(server.config.grace + END_SECONDS):
            unanswered = await asyncio.wrap_future(loop.submit(server.stop()))
    except TimeoutError:
        fail(server, "some")
    if unanswered is not None:
        fail(server, f"{unanswered}")


async def begin(server: RunningServer, early: EarlyServer | None, parent: Parent | None) -> None:
    """Open the ports, or take them over."""
    if early:
        await early.stop()
        await server.start(early.rest, early.grpc)
    else:
        await server.start()
    if parent:
        parent.begin(server.metrics.snapshot)


def fail(server: RunningServer, unanswered: str) -> NoReturn:
    """End the process in spite of the threads of a model that hangs."""
    logger.critical(
        "the model was still busy %g s after the signal to end; %s requests had no answer",
        server.config.grace,
        unanswered,
    )
    logging.shutdown()
    os._exit(1)
