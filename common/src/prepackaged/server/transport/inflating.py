"""When and where what clients compress is inflated."""

import zlib
from collections.abc import Callable

from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.compression import TooLargeError, inflated
from prepackaged.server.transport.exchange import Exchange
from prepackaged.server.transport.memory import SMALL


def inflate(
    exchange: Exchange,
    coding: bytes,
    work: Callable[[], bytes],
    handler: Callable[[Exchange], object],
) -> None:
    """Inflate a request's body, then let the handler answer.

    What remains small is inflated at once. For all else `work` does it on another thread, and
    raises the errors for the client.
    """

    def handle(body: bytes) -> None:
        exchange.body = body
        handler(exchange)

    body = _small(exchange.body, coding)
    if body is None:
        exchange.prepare(work, handle)
    else:
        handle(body)


def _small(body: bytes, coding: bytes) -> bytes | None:
    """The inflated body, unless it is large or there is something wrong with it."""
    if len(body) > SMALL:
        return None
    try:
        return inflated(body, coding, LARGE)
    except (TooLargeError, zlib.error):
        return None
