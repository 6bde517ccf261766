"""uvicorn's HTTP protocol with a short way for the requests that matter.

A POST of JSON to one of the short routes is answered from the parser's callbacks, without an
ASGI scope, task and messages, which cost more than parsing and predicting together. Every
other request, and one that arrives before the last is answered, takes uvicorn's own way.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from prepackaged.server.http.app import CLIENT_WENT_AWAY, FINAL_STATUSES
from prepackaged.server.http.connection import (
    JSON_HEADERS,
    BoundedProtocol,
    Observer,
    RefusedError,
)

# Takes the body and where the answer goes, and gives what cancels the request.
Handler = Callable[[bytes, "Respond"], Callable[[], None] | None]
Respond = Callable[..., None]  # status, body, and bytes of more header lines

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOBODY_WAITS = asyncio.Event()  # for uvicorn to set when a connection is lost


class _Cycle:
    """What uvicorn's protocol asks of a request that it did not start itself."""

    def __init__(self, path: bytes, *, keep_alive: bool, started: float) -> None:
        self.path = path
        self.keep_alive = keep_alive
        self.started = started
        self.body = bytearray()
        self.response_complete = False
        self.disconnected = False
        self.message_event = NOBODY_WAITS
        self.cancel: Callable[[], None] | None = None


class ShortWayProtocol(BoundedProtocol):
    """Answers the short routes itself; `short_way` makes a class of it for uvicorn."""

    handlers: ClassVar[Mapping[bytes, Handler]]

    # The latest request that took the short way.
    short: _Cycle | None = None

    def answer(self) -> None:
        """Take the short way if the request may."""
        if not self._may_take_short_way():
            super().answer()
            return
        if self.expect_100_continue:
            self.transport.write(CONTINUE)
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.short = _Cycle(self.url, keep_alive=keep_alive, started=time.perf_counter())
        self.cycle = self.short

    def _may_take_short_way(self) -> bool:
        if self.url not in self.handlers or self.parser.get_method() != b"POST":
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        return any(
            name == b"content-type" and value[:16].lower() == b"application/json"
            for name, value in self.headers
        )

    def on_body(self, body: bytes) -> None:
        """Collect the body, up to its bound."""
        short = self.short
        if short is None or self.cycle is not short:
            super().on_body(body)
            return
        short.body += body
        if len(short.body) > self.max_body:
            short.response_complete = True
            self.refuse(413, self.too_large, JSON_HEADERS)
            raise RefusedError

    def on_whole_message(self) -> None:
        """Hand the whole request over."""
        short = self.short
        if short is None or self.cycle is not short:
            super().on_whole_message()
        else:
            respond = functools.partial(self._respond, short)
            short.cancel = self.handlers[short.path](bytes(short.body), respond)

    def _respond(self, short: _Cycle, status: int, body: bytes, headers: bytes = b"") -> None:
        if short.disconnected:
            return
        if status not in FINAL_STATUSES:
            status = 500
        short.response_complete = True
        self._observe(short, status, len(body))
        if self.transport.is_closing():
            return
        headers = JSON_HEADERS + headers
        self.transport.write(
            self.head(status, len(body), headers, keep_alive=short.keep_alive) + body
        )
        if not short.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _observe(self, short: _Cycle, status: int, size: int) -> None:
        seconds = time.perf_counter() - short.started
        type(self).observe("POST", short.path.decode(), status, size, seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the place in the queue of a client that has gone away."""
        short = self.short
        if short and not (short.response_complete or short.disconnected):
            short.disconnected = True
            self._observe(short, CLIENT_WENT_AWAY, 0)
            if short.cancel:
                short.cancel()
        super().connection_lost(exc)


def bounded(*, max_body: int, too_large: bytes, observe: Observer) -> type[BoundedProtocol]:
    """A protocol class for the setting `http` of a server without short routes."""
    settings = {"max_body": max_body, "too_large": too_large}
    return type("Bounded", (BoundedProtocol,), {**settings, "observe": staticmethod(observe)})


def short_way(
    handlers: Mapping[bytes, Handler], *, max_body: int, too_large: bytes, observe: Observer
) -> type[ShortWayProtocol]:
    """A protocol class for uvicorn's setting `http`.

    `handlers` are the short routes; a body of more than `max_body` bytes is answered with 413
    and the JSON in `too_large`.
    """
    settings = {"handlers": handlers, "max_body": max_body, "too_large": too_large}
    return type("ShortWay", (ShortWayProtocol,), {**settings, "observe": staticmethod(observe)})
