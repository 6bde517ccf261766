"""Reload the model when its files have changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prepackaged.errors import RequestError
from prepackaged.server.runtime.model_files import Fingerprint, fingerprint

logger = logging.getLogger(__name__)


class Poller:
    """Checks every `seconds` whether the files at `uri` have changed; if so, calls `load`.

    `tried` returns the fingerprint of the last load, successful or not, so that a failed load is
    repeated only after files change. A link with a new target counts at once, because platforms
    replace directories this way. Other changes count when two checks in a row find the same files.
    """

    def __init__(
        self,
        uri: str,
        seconds: float,
        tried: Callable[[], Fingerprint],
        load: Callable[[], Awaitable[object]],
    ) -> None:
        self._uri = uri
        self._seconds = seconds
        self._tried = tried
        self._load = load
        self._seen = tried()

    async def run(self) -> None:
        """Check repeatedly until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except Exception:  # the next check may succeed
                logger.exception("The model's files were not checked")

    async def look(self) -> None:
        """Check once."""
        files = await asyncio.to_thread(fingerprint, self._uri)
        before, self._seen = self._seen, files
        tried = self._tried()
        if files == tried or not files.files:
            return
        if files == before or files.links != tried.links:
            logger.info("The model's files have changed")
            with suppress(RequestError):  # it is logged already
                await self._load()
