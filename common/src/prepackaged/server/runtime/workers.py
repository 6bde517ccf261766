"""Several worker processes for the same model and ports, and the parent that supervises them.

Workers are spawned, not forked: each loads its own model, and none inherits threads or a GPU.
They share the REST and gRPC ports; the kernel distributes the connections among them. The parent
serves the metrics, which workers store in files that outlive them, and replaces workers that exit
or send no heartbeat.
"""

import asyncio
import functools
import logging
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client.multiprocess import mark_process_dead

from prepackaged.errors import DeploymentError, describe
from prepackaged.server.protocols.v2.repository import LOAD
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.metrics_port import serve_metrics
from prepackaged.server.runtime.model_files import fingerprint, model_uri
from prepackaged.server.runtime.orphans import begin_reaping
from prepackaged.server.runtime.polling import Poller
from prepackaged.server.runtime.shutdown import ReloadSignal, ShutdownSignals
from prepackaged.server.runtime.startup import EarlyServer
from prepackaged.server.runtime.turns import Turns
from prepackaged.server.runtime.worker import Target, Worker
from prepackaged.server.telemetry.metrics import expose

logger = logging.getLogger(__name__)

MOST_FAILURES = 5  # the most failed starts in a row while no worker serves
SHORT_LIFE_SECONDS = 60  # a worker that lived longer resets the number of deaths in a row
PAUSE_SECONDS = 0.5  # the pause after the second death in a row; it doubles with each further one
LONGEST_PAUSE_SECONDS = 30
MOST_DOUBLINGS = 16  # the most doublings of the pause; more would overflow a float


class Supervisor:
    """Keep `config.workers` processes running; each runs `target`.

    Create it on the event loop. Raises `DeploymentError` if no temporary file can be written.
    """

    def __init__(self, target: Target, config: Config) -> None:
        self._target = target
        self._config = config
        self._workers: list[Worker] = []
        self._failures = 0
        self._serves = asyncio.Event()
        self._turns = Turns(self._change)
        self._changes: set[asyncio.Task[None]] = set()
        self._tried = fingerprint(model_uri(config))
        try:
            self._scratch = TemporaryDirectory(prefix="metrics-", ignore_cleanup_errors=True)
        except OSError as error:
            raise DeploymentError(
                "several workers need a directory for temporary files, and none is writable:"
                f" {error.strerror}; set TMPDIR to a writable one"
            ) from error
        self._directory = Path(self._scratch.name)

    @classmethod
    async def of(cls, target: Target, config: Config) -> "Supervisor":
        """Create a Supervisor from a thread that has no event loop."""
        return cls(target, config)

    async def run(self, is_over: asyncio.Event) -> None:
        """Serve until a signal.

        Raises `DeploymentError` if no worker can start, or if one does not stop gracefully.
        """
        metrics = await serve_metrics(self._config, self._exposition)
        over = asyncio.create_task(is_over.wait())
        try:
            async with asyncio.TaskGroup() as keepers:
                configs = enumerate(self._configs())
                tasks = [keepers.create_task(self._keep(*each)) for each in configs]
                if self._config.poll:
                    tasks.append(keepers.create_task(self._poll()))
                if self._config.opens_early:
                    tasks.append(keepers.create_task(self._open_early()))
                await over
                for task in tasks:
                    task.cancel()
        except ExceptionGroup as errors:  # not `except*`, which raises groups again
            raise errors.exceptions[0] from None
        finally:
            over.cancel()
            failed = await self._end_workers()
            await metrics.stop()
            self._scratch.cleanup()
        if failed:
            raise DeploymentError(f"{failed} of the workers did not shut down properly")

    def kill(self) -> None:
        """Kill all workers at once."""
        for worker in self._workers:
            worker.process.kill()
        self._scratch.cleanup()

    def begin_change(self, what: str, worker: Worker | None = None) -> None:
        """Make all workers load or unload the model, and send the result to `worker`."""
        task = asyncio.create_task(self._change_and_tell(what, worker))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    def _began(self, worker: Worker) -> None:
        """Note that a worker serves; reload if the files may have changed after it read them."""
        self._serves.set()
        if worker.has_missed_load:
            self.begin_change(LOAD)

    def _requested(self, worker: Worker, what: str) -> None:
        self.begin_change(what, worker)

    async def _change_and_tell(self, what: str, worker: Worker | None) -> None:
        try:
            why = await self._turns.run(what)
        except Exception as error:
            logger.exception("The workers did not %s the model", what)
            why = describe(error)
        if worker:
            worker.answer(why)

    async def _change(self, what: str) -> str:
        """Make the workers load or unload the model, one after another, until one fails.

        Returns why it failed, an empty text if none did.
        """
        self._tried = await asyncio.to_thread(fingerprint, model_uri(self._config))
        for worker in self._workers:
            worker.has_missed_load = what == LOAD and not worker.serves
        for worker in [each for each in self._workers if each.serves]:
            if why := await worker.change(what):
                return why
        return ""

    async def _poll(self) -> None:
        load = functools.partial(self._turns.run, LOAD)
        uri = model_uri(self._config)
        await Poller(uri, self._config.poll, lambda: self._tried, load).run()

    def _configs(self) -> list[Config]:
        """The workers' configs: the parent opens the ports early, the first runs custom_service."""
        first = replace(self._config, opens_early=False)
        return [first, *[replace(first, runs_custom_service=False)] * (first.workers - 1)]

    async def _open_early(self) -> None:
        """Answer on the ports until a worker serves."""
        early = EarlyServer(self._config)
        await early.start()
        try:
            await self._serves.wait()
        finally:
            early.close()  # first, or the kernel would assign connections that nobody accepts
            await early.stop()

    async def _keep(self, number: int, config: Config) -> None:
        """Keep one worker running, with increasing pauses if it keeps failing."""
        deaths = 0
        while True:
            born = time.monotonic()
            try:
                worker = Worker(
                    self._target, config, number, self._directory, self._began, self._requested
                )
            except OSError as error:
                self._note_failed_start(str(error.strerror))
            else:
                await self._until_end(worker, number)
            deaths = deaths + 1 if time.monotonic() - born < SHORT_LIFE_SECONDS else 1
            await asyncio.sleep(pause_seconds(deaths))

    async def _until_end(self, worker: Worker, number: int) -> None:
        self._workers.append(worker)
        status = await worker.died(self._config.longest_call)
        self._workers.remove(worker)
        mark_process_dead(number, str(self._directory))
        self._note_end(worker, status)

    def _note_failed_start(self, why: str) -> None:
        """Note that the system could not create a process or a pipe for a worker."""
        logger.error("A worker cannot be started: %s; trying again", why)
        self._count_failure(f"could not be started: {why}")

    def _note_end(self, worker: Worker, status: int) -> None:
        """Raise `DeploymentError` if no worker serves and a new one would also fail."""
        why = worker.failure or f"it ended with {status}"
        logger.error("Worker %s: %s; starting a new one", worker.process.pid, why)
        if worker.serves:
            self._failures = 0
            return
        if worker.failure and not self._has_serving():
            raise DeploymentError(worker.failure)
        self._count_failure(f"ended before they served, the last with {status}")

    def _count_failure(self, what: str) -> None:
        """Raise `DeploymentError` if no worker serves and several in a row have failed."""
        self._failures += 1
        if self._failures >= MOST_FAILURES and not self._has_serving():
            raise DeploymentError(f"{self._failures} workers in a row {what}")

    def _has_serving(self) -> bool:
        return any(worker.serves for worker in self._workers)

    async def _end_workers(self) -> int:
        """Stop all workers; return how many did not stop gracefully."""
        for worker in self._workers:
            worker.end()
        ends = [asyncio.create_task(worker.died()) for worker in self._workers]
        if ends:
            await asyncio.wait(ends, timeout=self._config.shutdown.workers)
        for worker in self._workers:
            worker.process.kill()
        return sum(status != 0 for status in await asyncio.gather(*ends))

    async def _exposition(self) -> tuple[bytes, str]:
        return expose(self._directory)


def pause_seconds(deaths: int) -> float:
    """The pause before the next worker, after this number of deaths in a row."""
    return min(PAUSE_SECONDS * 2.0 ** min(deaths - 2, MOST_DOUBLINGS), LONGEST_PAUSE_SECONDS)


def supervise(target: Target, config: Config) -> None:
    """Run several workers until a signal; a second signal kills them at once."""
    with LoopThread() as loop:
        begin_reaping(loop)
        is_over, supervisor = asyncio.Event(), loop.run(Supervisor.of(target, config))
        ShutdownSignals(loop.loop, is_over.set, at_once=supervisor.kill)
        ReloadSignal(loop.loop).begin(functools.partial(supervisor.begin_change, LOAD))
        loop.run(supervisor.run(is_over))
