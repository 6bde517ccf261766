"""Replace the served model with the current files of its directory, without losing a request.

The new model is loaded while the old one serves, and must answer its samples. Then it gets new
requests, while the old one finishes those that have begun. If it cannot be loaded, the old one
stays.
"""

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError, RequestError, describe
from prepackaged.own_code import forgotten
from prepackaged.server.inference.model_thread import ModelThread
from prepackaged.server.inference.predictor import HangingError
from prepackaged.server.protocols.v2.repository import LOAD, Change
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loaded import LoadedModel, load
from prepackaged.server.runtime.loading import failures_as
from prepackaged.server.runtime.memory import available, settle_again
from prepackaged.server.runtime.model_files import Fingerprint, fingerprint, model_uri
from prepackaged.server.runtime.model_service import ModelService
from prepackaged.server.runtime.polling import Poller
from prepackaged.server.runtime.provenance import find_digest, publish
from prepackaged.server.runtime.server import RunningServer
from prepackaged.server.runtime.turns import Turns
from prepackaged.signature import declared_signature

logger = logging.getLogger(__name__)

MEGABYTE = 2**20
LOOK_SECONDS = 0.5  # the interval between checks whether a call hangs
SETTLE_SECONDS = 1  # the wait until references to the old model are gone, such as exceptions
MOST_TRIES = 5  # the most attempts to free a model
SUCCESS, FAILURE = "success", "failure"
UNLOADED, LOADING = "the model is unloaded", "the model is being loaded"


class ReloadError(RequestError):
    """The model could not be reloaded: HTTP 503."""

    status_code = 503
    reason = "MICROSERVICE_NOT_RELOADED"


class Reloader:
    """Reloads or unloads the model of a server. Create and use it on the event loop.

    `thread` is the model's thread. `loaded` is the current model of the server, and `files` the
    fingerprint of its files.
    """

    def __init__(
        self,
        server: RunningServer,
        loop: LoopThread,
        thread: ModelThread,
        loaded: LoadedModel,
        files: Fingerprint,
    ) -> None:
        self._server = server
        self._config = server.config
        self._loop = loop
        self._thread = thread
        self._uri = model_uri(server.config)
        self._files = self._tried = files
        self._memory = loaded.memory
        self._code = code_of(loaded.model)
        self._is_free = bool(getattr(loaded.model, "callable_from_any_thread", False))
        self._turns = Turns(self._change)
        self._background: set[asyncio.Task[None]] = set()
        server.metrics.set_gauge("prepackaged_model_load_seconds", loaded.seconds)
        for result in (SUCCESS, FAILURE):
            server.metrics.count_reloads(result, 0)
        self._succeeded(loaded)
        self.pass_on(self.change)

    @classmethod
    async def of(cls, *parts: Any) -> "Reloader":
        """Create a Reloader from a thread that has no event loop."""
        return cls(*parts)

    def begin(self) -> None:
        """Start to reload the model; the outcome is logged."""
        self._begin(self._load_and_log())

    async def begin_polling(self) -> None:
        """Reload the model whenever its files have changed, if polling is turned on."""
        if self._config.poll:
            load = partial(self.change, LOAD)
            poller = Poller(self._uri, self._config.poll, lambda: self._tried, load)
            self._begin(poller.run())

    def pass_on(self, change: Change) -> None:
        """Set the function that handles clients' load and unload requests."""
        self._server.on_change = change

    async def change(self, what: str) -> None:
        """Load (LOAD) or unload the model. Raises `ReloadError`.

        When this returns, new requests go to the new model.
        """
        await self._turns.run(what)

    async def _load_and_log(self) -> None:
        with suppress(ReloadError):
            await self.change(LOAD)

    async def _change(self, what: str) -> None:
        if what == LOAD:
            await self._load_and_count()
            return
        try:
            await self._unload(UNLOADED)
        except DeploymentError as error:
            raise ReloadError(str(error)) from error

    async def _load_and_count(self) -> None:
        try:
            await self._load()
        except Exception as error:
            why = str(error) if isinstance(error, DeploymentError) else describe(error)
            state = "the old model still answers" if self._server.has_model else "there is no model"
            logger.error("The reload failed, and %s: %s", state, why)
            self._server.metrics.count_reloads(FAILURE, 1)
            self._server.metrics.set_gauge("prepackaged_model_last_reload_successful", 0)
            self._begin(settle_later())
            raise ReloadError(why) from error

    async def _load(self) -> None:
        self._tried = files = await self._look()
        await self._make_room(files)
        loading = partial(load_again, self._config, self._loop, self._code, files)
        loaded = await self._call(loading, is_free=self._is_free)
        with failures_as("the new model cannot be served"):
            self._swap(loaded)
        self._files = files

    async def _look(self) -> Fingerprint:
        found: Fingerprint = await self._call(partial(fingerprint, self._uri), is_free=True)
        return found

    async def _make_room(self, files: Fingerprint) -> None:
        """Raise `DeploymentError` if there is not enough memory for both models.

        With `unload_first`, unload the old model instead of raising.
        """
        if not self._server.has_model:
            return
        needed = int(self._memory * max(1.0, files.size / max(self._files.size, 1)))
        free = available()
        if needed <= free:
            return
        if not self._config.unload_first:
            raise DeploymentError(
                f"the new model needs about {needed // MEGABYTE} MB of memory beside the old one,"
                f" and {free // MEGABYTE} MB are free: give the container more memory,"
                " or set PREPACKAGED_UNLOAD_FIRST=true"
            )
        logger.warning("Not enough memory for two models: unloading the old one first")
        await self._unload(LOADING)

    async def _unload(self, why: str) -> None:
        self._server.metrics.clear_info("prepackaged_model_info")
        retiring = self._begin(self._retire(self._server.unload(why)))
        await self._unless_hanging(asyncio.shield(retiring))

    def _swap(self, loaded: LoadedModel) -> None:
        old = self._server.replace(loaded.model, loaded.metadata)
        self._server.metrics.clear_info("prepackaged_model_info")
        if old:
            tell_of_changes(old.predictor.model, loaded.model)
            self._begin(self._retire(old))
        self._memory, self._code = loaded.memory, code_of(loaded.model)
        self._succeeded(loaded)
        logger.info("The model was reloaded in %.1f s", loaded.seconds)
        self._server.metrics.count_reloads(SUCCESS, 1)

    async def _retire(self, old: ModelService | None) -> None:
        """Free a model's memory after it has answered its last request."""
        if old is None:
            return
        await self._server.retire(old)
        predictor = weakref.ref(old.predictor)
        del old
        for _ in range(MOST_TRIES):
            await asyncio.to_thread(settle_again)
            if predictor() is None:
                break
            await asyncio.sleep(SETTLE_SECONDS)  # a large request for it may still be arriving

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _succeeded(self, loaded: LoadedModel) -> None:
        metrics = self._server.metrics
        metrics.set_gauge("prepackaged_model_last_reload_successful", 1)
        now = time.time()
        metrics.set_gauge("prepackaged_model_last_reload_success_timestamp_seconds", now)
        then = partial(self._publish, loaded)
        find_digest(loaded.model, partial(self._loop.soon, then), loaded.digest)

    def _publish(self, loaded: LoadedModel, digest: str) -> None:
        """Publish the digest, unless the model was replaced in the meantime."""
        server, model = self._server, loaded.model
        if server.has_model and server.service.predictor.model is model:
            publish(digest, model, loaded.metadata, self._config, server.metrics)

    async def _call(self, function: Callable[[], Any], *, is_free: bool) -> Any:
        """Run a function and return its result: on a new thread if free, else on the model's."""
        outcome: Future[Any] = Future()
        work = partial(_settle, outcome, function)
        if is_free:
            threading.Thread(target=work, name="reload", daemon=True).start()
            return await asyncio.wrap_future(outcome)
        self._thread.submit(work)
        return await self._unless_hanging(asyncio.wrap_future(outcome))

    async def _unless_hanging(self, result: "asyncio.Future[Any]") -> Any:
        """Wait for a result from the model's thread. Raises `DeploymentError` if a call hangs."""
        while not result.done():
            if self._server.hangs:
                result.cancel()
                raise DeploymentError(str(HangingError()))
            await asyncio.wait({result}, timeout=LOOK_SECONDS)
        return result.result()


def load_again(
    config: Config, loop: LoopThread, code: Sequence[Path], files: Fingerprint
) -> LoadedModel:
    """Load the model and the current code of its author.

    Raises `DeploymentError` if that fails or if the model's files change meanwhile.
    """
    with forgotten(code):
        loaded = load(config, loop)
        if fingerprint(model_uri(config)) != files:
            raise DeploymentError("the model's files have changed while they were read")
        return loaded


async def settle_later() -> None:
    """Free the memory of a failed load, after its exception has been released."""
    await asyncio.sleep(SETTLE_SECONDS)
    await asyncio.to_thread(settle_again)


def code_of(model: Any) -> list[Path]:
    """The directories with the Python files of the model's author."""
    artifact = getattr(model, "artifact", None)
    if not isinstance(artifact, Artifact):
        return []
    return [artifact.directory, *([artifact.code] if artifact.code else [])]


def tell_of_changes(old: Any, new: Any) -> None:
    """Log a warning if inputs or outputs have changed."""
    before, now = declared_signature(old), declared_signature(new)
    if before != now:
        logger.warning("The new model has another signature: see /metadata and /openapi.json")


def _settle(outcome: "Future[Any]", function: Callable[[], Any]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return  # the caller no longer waits for it
    try:
        outcome.set_result(function())
    except BaseException as error:
        outcome.set_exception(error)
