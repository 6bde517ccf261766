"""Load the model again when its files have changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prepackaged.errors import RequestError
from prepackaged.server.runtime.model_files import Fingerprint, fingerprint

logger = logging.getLogger(__name__)


class Poller:
    """Checks every `seconds` whether files have changed; if so, calls `load`.

    `tried` returns the fingerprint of the last load, successful or not, so that a failed load is
    not repeated until files change. A link with a new target counts at once, because platforms
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
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except Exception:  # whatever it is, it may be over at the next check
                logger.exception("The model's files were not checked")

    async def look(self) -> None:
        """Look once."""
        files = await asyncio.to_thread(fingerprint, self._uri)
        before, self._seen = self._seen, files
        tried = self._tried()
        if files == tried or not files.files:
            return
        if files == before or files.links != tried.links:
            logger.info("The model's files have changed")
            with suppress(RequestError):  # which is logged
                await self._load()
