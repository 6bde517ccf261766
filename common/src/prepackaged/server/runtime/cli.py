"""`prepackaged-microservice Model`: read the settings, load the model, and serve until a signal."""

import asyncio
import contextlib
import logging
import os
import sys

from prepackaged.errors import DeploymentError
from prepackaged.server.inference.model_thread import ModelThread
from prepackaged.server.runtime.annotations import read_annotations
from prepackaged.server.runtime.config import Config, read_config
from prepackaged.server.runtime.custom_service import CustomService, has_custom_service
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.files import allow_connections
from prepackaged.server.runtime.loaded import load
from prepackaged.server.runtime.loading import failures_as
from prepackaged.server.runtime.memory import settle, share_arenas
from prepackaged.server.runtime.model_files import fingerprint, model_uri
from prepackaged.server.runtime.orphans import begin_reaping
from prepackaged.server.runtime.parent import Parent
from prepackaged.server.runtime.reload import Reloader
from prepackaged.server.runtime.server import RunningServer
from prepackaged.server.runtime.shutdown import (
    ReloadSignal,
    ShutdownSignals,
    Watchdog,
    end_at_once_on_signals,
    end_now,
)
from prepackaged.server.runtime.standard_streams import (
    LOG_MILLISECONDS,
    open_standard_streams,
    patient,
)
from prepackaged.server.runtime.startup import EarlyServer
from prepackaged.server.runtime.worker import FAILURE, Place
from prepackaged.server.runtime.workers import supervise
from prepackaged.server.telemetry.logs import begin_logging
from prepackaged.server.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve the class that the command line names (the console script).

    Exits with status 1 and an error in the last line if the server cannot start, or if an accepted
    request was not answered.
    """
    open_standard_streams()
    begin_logging(stream=patient(sys.stderr, LOG_MILLISECONDS))
    try:
        config = read_config(sys.argv[1:], os.environ, read_annotations())
        logging.getLogger().setLevel(config.log_level)
        if config.workers > 1:
            supervise(work, config)
        else:
            serve(config)
    except DeploymentError as error:
        logger.critical("%s", error)
        sys.exit(1)


def work(config: Config, place: Place) -> None:
    """Serve as one of several workers, in a spawned process."""
    begin_logging(config.log_level, patient(sys.stderr, LOG_MILLISECONDS))
    try:
        serve(config, place)
    except DeploymentError as error:
        with contextlib.suppress(OSError):  # the parent has exited
            place.pipe.send((FAILURE, str(error)))  # the parent logs it
        sys.exit(1)


def serve(config: Config, place: Place | None = None) -> None:
    """Load the model, open the ports, and serve until a signal.

    The event loop has its own thread. The main thread loads and calls the model, as in
    seldon-core's microservice, because models rely on that.
    """
    end_at_once_on_signals()
    share_arenas()
    allow_connections(config.max_connections)
    with LoopThread() as loop:
        signals = ReloadSignal(loop.loop)
        begin_reaping(loop)
        parent = loop.run(Parent.of(place.pipe)) if place else None
        early = EarlyServer(config) if config.opens_early else None
        if early:
            loop.run(early.start())
        thread = ModelThread()
        metrics = Metrics(place.directory, place.number) if place else Metrics()
        with failures_as(f"{config.interface} cannot be served"):
            server, reloader = loaded_server(config, loop, thread, metrics)
            has_service = has_custom_service(server.service.predictor.model)
        settle()
        begin_reloading(loop, reloader, signals, parent)
        serve_loaded(server, loop, thread, early, parent, has_service=has_service)


def loaded_server(
    config: Config, loop: LoopThread, thread: ModelThread, metrics: Metrics
) -> tuple[RunningServer, Reloader]:
    """Load the model, and return its server and the `Reloader` that reloads it."""
    files = fingerprint(model_uri(config))
    loaded = load(config, loop)
    parts = loaded.model, loaded.metadata, config, thread.submit, metrics
    server: RunningServer = loop.run(RunningServer.of(*parts))
    reloader: Reloader = loop.run(Reloader.of(server, loop, thread, loaded, files))
    return server, reloader


def begin_reloading(
    loop: LoopThread, reloader: Reloader, signals: ReloadSignal, parent: Parent | None
) -> None:
    """Reload the model on SIGHUP, on a client's request, or when its files change.

    A worker reloads when its parent asks for it, because the parent handles the signal and watches
    the files.
    """
    if parent:
        loop.run(parent.take_over(reloader))
    else:
        signals.begin(reloader.begin)
        loop.run(reloader.begin_polling())


def serve_loaded(
    server: RunningServer,
    loop: LoopThread,
    thread: ModelThread,
    early: EarlyServer | None,
    parent: Parent | None,
    *,
    has_service: bool,
) -> None:
    """Open the ports, and call the model on this thread until the server has stopped.

    `has_service` says whether the model has a custom service.
    """
    config, is_over = server.config, asyncio.Event()
    dog = Watchdog(config.shutdown.process, lambda: hanging(config, "some"))
    ShutdownSignals(loop.loop, is_over.set, on_main=dog.start)
    if parent:
        parent.on_end = is_over.set
    loop.run(begin(server, early, parent))
    custom = CustomService(config) if has_service and config.runs_custom_service else None
    life = loop.submit(serve_until(is_over, server, dog))
    for ended in (life, loop.ended):
        ended.add_done_callback(lambda _: thread.stop())
    thread.run()
    if custom:
        custom.stop()
    for ended in (loop.ended, life):
        if ended.done():
            ended.result()


async def begin(server: RunningServer, early: EarlyServer | None, parent: Parent | None) -> None:
    """Open the ports, or take them over from the early server; start a worker's heartbeats."""
    if early:
        await early.stop()
        await server.start(early.rest, early.grpc)
    else:
        await server.start()
    if parent:
        parent.begin(server.check)


async def serve_until(is_over: asyncio.Event, server: RunningServer, dog: Watchdog) -> None:
    """Serve until a signal, then shut down: gracefully or, if the model hangs, at once."""
    await is_over.wait()
    dog.start()
    unanswered = await server.stop()
    if unanswered is not None:
        logger.critical("%s", hanging(server.config, f"{unanswered}"))
        end_now(1)
    dog.status = 0  # the model's threads may continue, but only until the watchdog exits


def hanging(config: Config, unanswered: str) -> str:
    """The last log line if the model did not finish in time."""
    return (
        f"the model was still busy {config.grace:g} s after the signal to shut down;"
        f" {unanswered} requests had no answer"
    )
