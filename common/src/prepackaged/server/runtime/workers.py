"""Several processes that serve the same model on the same ports, and the parent that keeps them.

Workers are spawned, not forked: each loads its own model, and none inherits threads or a GPU.
They share REST's and gRPC's ports, between which the kernel divides the connections. The
parent serves the metrics: the sum of what its workers have counted.
"""

import asyncio
import functools
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection

from prepackaged.errors import DeploymentError
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.metrics_port import serve_metrics
from prepackaged.server.runtime.shutdown import ShutdownSignals
from prepackaged.server.runtime.startup import EarlyServer
from prepackaged.server.telemetry.metrics import Snapshot, expose, merged, remains

logger = logging.getLogger(__name__)

MOST_DEATHS = 5  # of workers that lived less than this, in a row, before the parent gives up
SHORT_LIFE_SECONDS = 60
PAUSE_SECONDS = 0.5  # before the second worker in such a row, and as much more before each other
SNAPSHOT_SECONDS = 1  # for a worker to tell what it has counted
MOST_QUESTIONS = 10  # that a worker leaves open before it is asked no more
SPAWN = multiprocessing.get_context("spawn")

Target = Callable[[Config, Connection], None]


class Worker:
    """A process that serves, seen from its parent. Made on the parent's event loop.

    `counted` is what it told last, nothing before it serves, which sets `serves`; `failure` is
    why it could not.
    """

    def __init__(self, target: Target, config: Config, serves: asyncio.Event) -> None:
        self._pipe, end = SPAWN.Pipe()
        self.process = SPAWN.Process(target=target, args=(config, end))
        self.process.start()
        end.close()
        self.born = time.monotonic()
        self.counted: Snapshot = {}
        self.failure = ""
        self._serves = serves
        self._asked = 1  # it begins unasked
        self._told = 0
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)

    async def died(self) -> int:
        """Its exit status, once it has ended."""
        ended = asyncio.Event()
        self._loop.add_reader(self.process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            self._loop.remove_reader(self.process.sentinel)
        self.process.join()
        self._read()
        self.end()
        return int(self.process.exitcode or 0)

    def end(self) -> None:
        """Tell it to end."""
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    async def snapshot(self) -> Snapshot:
        """What it has counted; what it told last when it does not answer in time."""
        if not self.counted:
            return {}
        try:
            async with asyncio.timeout(SNAPSHOT_SECONDS):
                await self._ask()
        except (TimeoutError, OSError):
            logger.warning("Worker %s does not tell its metrics", self.process.pid)
        return self.counted

    async def _ask(self) -> None:
        if self._asked - self._told < MOST_QUESTIONS:
            self._pipe.send("snapshot")
            self._asked += 1
        number = self._asked
        while self._told < number:
            self._news.clear()
            await self._news.wait()

    def _read(self) -> None:
        try:
            while not self._pipe.closed and self._pipe.poll():
                told = self._pipe.recv()
                if isinstance(told, str):
                    self.failure = told
                else:
                    self.counted = told
                    self._told += 1
                    self._serves.set()
                    self._news.set()
        except (EOFError, OSError):
            self.end()


class Supervisor:
    """Keeps `config.workers` processes alive; `target` is what each of them runs.

    Made on the event loop.
    """

    def __init__(self, target: Target, config: Config) -> None:
        self._target = target
        self._config = config
        self._workers: list[Worker] = []
        self._ended: Snapshot = {}
        self._deaths = 0
        self._serves = asyncio.Event()

    @classmethod
    async def of(cls, target: Target, config: Config) -> "Supervisor":
        """The same, for a thread that has no event loop."""
        return cls(target, config)

    async def run(self, is_over: asyncio.Event) -> None:
        """Serve until told that it is over.

        Raises `DeploymentError` when a worker cannot start, when workers keep dying, and when
        one does not end in order.
        """
        metrics = await serve_metrics(self._config, self._exposition)
        over = asyncio.create_task(is_over.wait())
        try:
            async with asyncio.TaskGroup() as keepers:
                tasks = [keepers.create_task(self._keep(config)) for config in self._configs()]
                if self._config.opens_early:
                    tasks.append(keepers.create_task(self._open_early()))
                await over
                for task in tasks:
                    task.cancel()
        except* DeploymentError as errors:
            raise errors.exceptions[0] from None
        finally:
            over.cancel()
            failed = await self._end_workers()
            await metrics.stop()
        if failed:
            raise DeploymentError(f"{failed} of the workers did not end in order")

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.process.kill()

    def _configs(self) -> list[Config]:
        """Those of the workers: the parent opens early, and the first runs a custom service."""
        first = replace(self._config, opens_early=False)
        return [first, *[replace(first, runs_custom_service=False)] * (first.workers - 1)]

    async def _open_early(self) -> None:
        """Answer on the ports until a worker does."""
        early = EarlyServer(self._config)
        await early.start()
        try:
            await self._serves.wait()
        finally:
            await early.stop()
            early.close()

    async def _keep(self, config: Config) -> None:
        while True:
            worker = Worker(self._target, config, self._serves)
            self._workers.append(worker)
            status = await worker.died()
            self._workers.remove(worker)
            self._ended = merged([self._ended, remains(worker.counted)])
            self._count_death(worker, status)
            await asyncio.sleep(PAUSE_SECONDS * (self._deaths - 1))

    def _count_death(self, worker: Worker, status: int) -> None:
        if worker.failure:
            raise DeploymentError(worker.failure)
        lived = time.monotonic() - worker.born
        self._deaths = self._deaths + 1 if lived < SHORT_LIFE_SECONDS else 1
        logger.error("Worker %s ended with %s; a new one follows", worker.process.pid, status)
        if self._deaths >= MOST_DEATHS:
            raise DeploymentError(f"{self._deaths} workers ended in a row, the last with {status}")

    async def _end_workers(self) -> int:
        """End all that there are; how many were not in order."""
        for worker in self._workers:
            worker.end()
        ends = [asyncio.create_task(worker.died()) for worker in self._workers]
        if ends:
            await asyncio.wait(ends, timeout=self._config.shutdown.workers)
        self.kill()
        return sum(status != 0 for status in await asyncio.gather(*ends))

    async def _exposition(self) -> tuple[bytes, str]:
        alive = await asyncio.gather(*(worker.snapshot() for worker in self._workers))
        return expose([self._ended, *alive])


class Parent:
    """A worker's parent, seen from the worker. Made on the event loop that serves.

    `on_end` is called on that loop when the parent has ended, or tells the worker to end.
    """

    on_end: Callable[[], object] = functools.partial(os._exit, 0)  # before anything is served

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe.fileno(), self._answer)

    @classmethod
    async def of(cls, pipe: Connection) -> "Parent":
        """The parent at the other end of the pipe."""
        return cls(pipe)

    def begin(self, snapshot: Callable[[], Snapshot]) -> None:
        """Tell that this worker serves; from now on the parent may ask."""
        self._snapshot = snapshot
        self._pipe.send(snapshot())

    def _answer(self) -> None:
        try:
            self._pipe.recv()
            self._pipe.send(self._snapshot())
        except (EOFError, OSError):
            self._loop.remove_reader(self._pipe.fileno())
            self.on_end()


def supervise(target: Target, config: Config) -> None:
    """Let several workers serve until a signal; the second of them ends all at once."""
    with LoopThread() as loop:
        is_over, supervisor = asyncio.Event(), loop.run(Supervisor.of(target, config))
        ShutdownSignals(loop.loop, is_over.set, at_once=supervisor.kill)
        loop.run(supervisor.run(is_over))
