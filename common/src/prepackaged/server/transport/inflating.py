"""Decompress request bodies, on the right thread."""

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
    """Decompress a request's body, then call the handler.

    Small bodies are decompressed immediately; all others on another thread, whose errors go to the
    client.
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
    """The decompressed body; None if it is large or malformed."""
    if len(body) > SMALL:
        return None
    try:
        return inflated(body, coding, LARGE)
    except (TooLargeError, zlib.error):
        return None
