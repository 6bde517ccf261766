"""uvicorn's HTTP protocol with a short way for the requests that matter.

A POST of JSON to one of the short routes is answered from the parser's callbacks, without an
ASGI scope, task and messages, which cost more than parsing and predicting together. Every
other request, and one that arrives before the last is answered, takes uvicorn's own way.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import ClassVar

from prepackaged.server.telemetry.context import CLIENT_WENT_AWAY, Observer
from prepackaged.server.transport.http1.app import HttpError, HttpRequest, too_large
from prepackaged.server.transport.http1.connection import (
    JSON_HEADERS,
    BoundedProtocol,
    Bounds,
    RefusedError,
)
from prepackaged.server.transport.http1.header_cache import Head, HeaderCache

# Takes the whole request and where the answer goes, and gives what cancels the request.
Handler = Callable[[HttpRequest, "Respond"], Callable[[], None] | None]
Respond = Callable[..., None]  # status, body, and bytes of more header lines

JSON_TYPE, PARTS_TYPE = b"application/json", b"multipart/form-data"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOBODY_WAITS = asyncio.Event()  # for uvicorn to set when a connection is lost


class _Cycle:
    """What uvicorn's protocol asks of a request that it did not start itself."""

    response_complete = False
    disconnected = False
    message_event = NOBODY_WAITS
    cancel: Callable[[], None] | None = None
    size = 0  # of the body so far

    def __init__(self, request: HttpRequest, *, keep_alive: bool = True) -> None:
        self.request = request
        self.keep_alive = keep_alive


class ShortWayProtocol(BoundedProtocol):
    """Answers the short routes itself; `short_way` makes a class of it for uvicorn."""

    handlers: ClassVar[Mapping[bytes, Handler]]
    heads: ClassVar[HeaderCache]

    # The latest request that took the short way.
    short: _Cycle | None = None
    parts: list[bytes]  # of its body, where the parser reads it

    def data_received(self, data: bytes) -> None:
        """Read what came; the parser is exempt a head that it has read before."""
        if not self._is_at_rest():
            super().data_received(data)
        elif known := self.heads.find(data):
            self._unset_keepalive_if_required()
            self._begin(*known)
        else:
            before = self.short
            super().data_received(data)
            latest = self.short
            if latest and latest is self.cycle and latest is not before and self.reads == "nothing":
                self._learn(data, latest)

    def _is_at_rest(self) -> bool:
        """Whether all that came before is answered and nothing is special about what comes."""
        if self.reads != "nothing" or self.refused or self.is_ending or self.is_surplus:
            return False
        return self.cycle is None or bool(self.cycle.response_complete)

    def _begin(self, head: Head, body: bytes) -> None:
        """Hand over a request whose head is known."""
        request = HttpRequest("POST", head.path, head.headers)
        request.body, request.is_multipart = body, head.is_multipart
        self.cycle = self.short = short = _Cycle(request)
        short.cancel = head.handler(request, functools.partial(self._respond, short))

    def _learn(self, data: bytes, latest: _Cycle) -> None:
        """Know the head of this request again, after which none has come."""
        if latest.keep_alive:
            asked, handler, length = latest.request, self.handlers[self.url], self._declared_size()
            head = Head(asked.path, asked.headers, asked.is_multipart, handler, length)
            self.heads.learn(data, head)

    def answer(self) -> None:
        """Take the short way if the request may."""
        short_type = self._short_type()
        if short_type is None:
            super().answer()
            return
        if self.expect_100_continue:
            self.transport.write(CONTINUE)
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        request = HttpRequest("POST", self.url.decode(), self.headers)
        request.is_multipart = short_type == PARTS_TYPE
        self.cycle = self.short = _Cycle(request, keep_alive=keep_alive)
        self.parts = []

    def _short_type(self) -> bytes | None:
        """The content type of a request that may take the short way."""
        if self.url not in self.handlers or self.parser.get_method() != b"POST":
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        for name, value in self.headers:
            if name == b"content-type":
                start = value[: len(PARTS_TYPE)].lower()
                return next(filter(start.startswith, (JSON_TYPE, PARTS_TYPE)), None)
        return None

    def on_body(self, body: bytes) -> None:
        """Collect the body, up to its bound."""
        short = self.short
        if short is None or self.cycle is not short:
            super().on_body(body)
            return
        self.parts.append(body)
        short.size += len(body)
        if short.size > self.bounds.max_body:
            short.response_complete = True
            self.refuse(too_large(self.bounds.max_body))
            raise RefusedError

    def on_whole_message(self) -> None:
        """Hand the whole request over."""
        short = self.short
        if short is None or self.cycle is not short:
            super().on_whole_message()
        else:
            short.request.body = b"".join(self.parts)
            self.parts.clear()
            respond = functools.partial(self._respond, short)
            short.cancel = self.handlers[self.url](short.request, respond)

    def _respond(self, short: _Cycle, status: int, body: bytes, headers: bytes = b"") -> None:
        if short.disconnected:
            return
        short.response_complete = True
        short.cancel = None  # it leads back here: a circle for the garbage collector
        type(self).observe(short.request, status, len(body))
        short.request.body = b""  # the connection may keep the rest for long
        if self.transport.is_closing():
            return
        headers = JSON_HEADERS + headers
        self.transport.write(
            self.head(status, len(body), headers, keep_alive=short.keep_alive) + body
        )
        if not short.keep_alive:
            self.transport.close()
        if self.pipeline or self.flow.write_paused or not self._is_at_rest():
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._close_after(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the place in the queue of a client that has gone away."""
        short = self.short
        if short and not (short.response_complete or short.disconnected):
            short.disconnected = True
            type(self).observe(short.request, CLIENT_WENT_AWAY, 0)
            if short.cancel:
                short.cancel()
        super().connection_lost(exc)


def bounded(
    bounds: Bounds, failed: Callable[[HttpError], bytes], observe: Observer
) -> type[BoundedProtocol]:
    """A protocol class for uvicorn's setting `http`, of a server without short routes.

    `failed` makes the JSON of a refusal.
    """
    return type("Bounded", (BoundedProtocol,), _settings(bounds, failed, observe))


def short_way(
    handlers: Mapping[bytes, Handler],
    bounds: Bounds,
    failed: Callable[[HttpError], bytes],
    observe: Observer,
) -> type[ShortWayProtocol]:
    """The same for a server whose short routes `handlers` answer."""
    settings = _settings(bounds, failed, observe)
    return type(
        "ShortWay", (ShortWayProtocol,), {"handlers": handlers, "heads": HeaderCache(), **settings}
    )


def _settings(
    bounds: Bounds, failed: Callable[[HttpError], bytes], observe: Observer
) -> dict[str, object]:
    functions = {"failed": staticmethod(failed), "observe": staticmethod(observe)}
    return {"bounds": bounds, **functions}
