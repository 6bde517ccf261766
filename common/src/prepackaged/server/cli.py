"""`prepackaged-microservice Model`: read the settings, load the model, serve until told to end."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from prepackaged.errors import DeploymentError
from prepackaged.server.config import Config, read_annotations, read_config
from prepackaged.server.loading import load_model
from prepackaged.server.running import RunningServer, listen, serve_not_ready
from prepackaged.server.workers import Supervisor, tell_snapshots

LOG_FORMAT = "%(asctime)s - %(name)s:%(funcName)s:%(lineno)s - %(levelname)s:  %(message)s"

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve the class that the command line names; the console script."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    try:
        config = read_config(sys.argv[1:], os.environ, read_annotations())
    except DeploymentError as error:
        logger.critical("%s", error)
        sys.exit(1)
    run(supervise(config) if config.workers > 1 else serve(config), config)


def run(serving: Coroutine[Any, Any, None], config: Config) -> None:
    """Run the server to its end; status 1 and one last line when it cannot start."""
    logging.getLogger().setLevel(config.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)
    except DeploymentError as error:
        logger.critical("%s", error)
        sys.exit(1)


def work(config: Config, pipe: Connection) -> None:
    """Serve as one of several workers: what a spawned process runs."""
    logging.basicConfig(format=LOG_FORMAT)
    run(serve(config, pipe), config)


async def serve(config: Config, pipe: Connection | None = None) -> None:
    """Load the model, then open the ports, then serve until SIGTERM or SIGINT."""
    is_over = over_on_signals()
    start = time.perf_counter()
    listener = early = None
    if config.opens_early:
        listener = listen(config.http_port, is_shared=config.workers > 1)
        early = await serve_not_ready(listener)
        model = await asyncio.to_thread(load_model, config.interface, config.parameters)
        await early.stop()
    else:
        model = load_model(config.interface, config.parameters)
    server = RunningServer(model, config)
    server.metrics.set_gauge("prepackaged_model_load_seconds", time.perf_counter() - start)
    if pipe:
        tell_snapshots(pipe, server.metrics.snapshot, is_over)
    await server.start(listener)
    await is_over.wait()
    if not await server.stop():
        logger.critical("the model did not end its last call; its answer is lost")
        logging.shutdown()
        os._exit(1)  # the interpreter would wait for the call's thread


async def supervise(config: Config) -> None:
    """Let several workers serve until SIGTERM or SIGINT."""
    await Supervisor(work, config).run(over_on_signals())


def over_on_signals() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; the second of them ends the process at once."""
    is_over = asyncio.Event()

    def end() -> None:
        if is_over.is_set():
            os._exit(1)
        is_over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return is_over
