"""Several processes that serve the same model on the same ports, and the parent that keeps them.

Workers are spawned, not forked: each loads its own model, and none inherits threads or a GPU.
They share REST's and gRPC's ports, between which the kernel divides the connections. The
parent serves the metrics: the sum of what its workers have counted.
"""

import asyncio
import logging
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from prepackaged.errors import DeploymentError
from prepackaged.server.config import Config
from prepackaged.server.metrics import Snapshot, expose, remains
from prepackaged.server.running import serve_metrics

logger = logging.getLogger(__name__)

MOST_DEATHS = 5  # of workers that lived less than this, in a row, before the parent gives up
SHORT_LIFE_SECONDS = 60
SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """A process that serves, seen from its parent."""

    def __init__(self, target: Callable[[Config, Connection], None], config: Config) -> None:
        self._pipe, end = SPAWN.Pipe()
        self.process = SPAWN.Process(target=target, args=(config, end))
        self.process.start()
        end.close()
        self.born = time.monotonic()
        self.counted: Snapshot = {}

    async def died(self) -> int:
        """Its exit status, once it has ended."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.process.sentinel)
        self.process.join()
        return int(self.process.exitcode or 0)

    async def snapshot(self) -> Snapshot:
        """What it has counted; what it told last when it does not answer within a second."""
        try:
            self.counted = await asyncio.to_thread(self._ask)
        except (OSError, EOFError):
            logger.warning("Worker %s does not tell its metrics", self.process.pid)
        return self.counted

    def _ask(self) -> Snapshot:
        self._pipe.send("snapshot")
        if not self._pipe.poll(1):
            raise OSError("no answer")
        answer: Snapshot = self._pipe.recv()
        return answer


class Supervisor:
    """Keeps `config.workers` processes alive; `target` is what each of them runs."""

    def __init__(self, target: Callable[[Config, Connection], None], config: Config) -> None:
        self._target = target
        self._config = config
        self._workers: list[Worker] = []
        self._ended: list[Snapshot] = []
        self._deaths = 0

    async def run(self, is_over: asyncio.Event) -> None:
        """Serve until told that it is over. Raises `DeploymentError` when workers keep dying."""
        metrics = await serve_metrics(self._config, self._exposition)
        over = asyncio.create_task(is_over.wait())
        try:
            async with asyncio.TaskGroup() as keepers:
                tasks = [keepers.create_task(self._keep()) for _ in range(self._config.workers)]
                await over
                for task in tasks:
                    task.cancel()
        except* DeploymentError as errors:
            raise errors.exceptions[0] from None
        finally:
            over.cancel()
            await self._end_workers()
            await metrics.stop()

    async def _keep(self) -> None:
        while True:
            worker = Worker(self._target, self._config)
            self._workers.append(worker)
            status = await worker.died()
            self._workers.remove(worker)
            self._ended.append(remains(worker.counted))
            self._count_death(worker, status)

    def _count_death(self, worker: Worker, status: int) -> None:
        lived = time.monotonic() - worker.born
        self._deaths = self._deaths + 1 if lived < SHORT_LIFE_SECONDS else 1
        logger.error("Worker %s ended with %s; a new one follows", worker.process.pid, status)
        if self._deaths >= MOST_DEATHS:
            raise DeploymentError(f"{self._deaths} workers ended in a row, the last with {status}")

    async def _end_workers(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            await asyncio.to_thread(worker.process.join)

    async def _exposition(self) -> tuple[bytes, str]:
        alive = await asyncio.gather(*(worker.snapshot() for worker in self._workers))
        return expose([*self._ended, *alive])


def tell_snapshots(
    pipe: Connection, snapshot: Callable[[], Snapshot], is_over: asyncio.Event
) -> None:
    """Answer the parent's questions, on the event loop; without a parent, it is over."""
    loop = asyncio.get_running_loop()

    def answer() -> None:
        try:
            pipe.recv()
            pipe.send(snapshot())
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            is_over.set()

    loop.add_reader(pipe.fileno(), answer)
