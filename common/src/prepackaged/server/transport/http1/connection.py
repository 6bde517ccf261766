"""uvicorn's HTTP connection with bounds: on heads, bodies, slow senders and its own end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.http1.app import HttpError, HttpRequest, too_large, too_many
from prepackaged.server.transport.idle_timer import IdleTimer

MOST_HEAD = 64 * 1024  # bytes of a request's line and headers
SENDER_SECONDS = 60  # for a request's head, and then for the next part of its body
SURPLUS_SECONDS = 2  # the same where there are too many connections
ENDING_SENDER_SECONDS = 2  # the same once the server is to end
GONE_SECONDS = 1  # for the answer to a client that sends no more: it waits, or it has gone away
ENDING_IDLE_SECONDS = 0.25  # for a request that is on its way when the server is to end
LINGER_SECONDS = 5  # for a client to read why it was refused
WRITTEN = {"Connection"}  # the header that every refusal has
JSON_HEADERS = b"content-type: application/json\r\naccess-control-allow-origin: *\r\n"


class RefusedError(Exception):
    """Stops the parser: the request is refused and what follows is not read."""


@dataclass(frozen=True)
class Bounds:
    """What clients may ask for.

    A connection past `max_connections` is closed after one request, which is refused, unless
    its path is one of `exempt`.
    """

    max_body: int
    max_connections: int = 1000
    exempt: frozenset[bytes] = frozenset()


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose client can neither fill the memory nor stay forever without sending.

    Requests are read until one is refused; those that came before it are answered. Every
    server has a class of its own, which knows when that server is to end. `failed` makes the
    JSON of a refusal.
    """

    bounds: ClassVar[Bounds]
    failed: ClassVar[Callable[[HttpError], bytes]]
    observe: ClassVar[Observer]
    is_ending: ClassVar[bool] = False
    default_lines: ClassVar[tuple[Any, bytes]] = (None, b"")

    cycle: Any  # the latest request: uvicorn's, or one that has what uvicorn asks of it
    reads: Literal["nothing", "head", "body"] = "nothing"
    head_parts = 0  # of a head that has not come at once,
    head_size = 0  # less the first part, which may begin with other requests
    head_until = 0.0  # when it has to be whole
    may_be_large = False  # the head that is being read
    is_surplus = False  # there are too many connections without this one
    refused = False  # a request was refused, what comes now is ignored
    is_half_closed = False  # nothing will come any more
    alarm: IdleTimer  # closes unless something comes
    running: Any = None  # uvicorn's request that is being answered
    task: "asyncio.Task[Any] | None" = None  # and what answers it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not forever."""
        super().connection_made(transport)
        self.alarm = IdleTimer(self.loop, self._sender_is_late)
        self.is_surplus = len(self.connections) > self.bounds.max_connections
        self._close_after(SURPLUS_SECONDS if self.is_surplus else self.timeout_keep_alive)
        if self.is_ending:
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        """Read what came, and wait a while for the rest if it is not whole."""
        if self.refused:
            return
        self._unset_keepalive_if_required()
        self.may_be_large = len(data) > MOST_HEAD or self.reads == "head"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.refused:
                self.send_400_response("this is no valid HTTP")
        if self.reads == "nothing" or self.refused:
            return
        if self.reads == "head":
            self._wait_for_head(len(data))
        else:
            self._close_after(self._patience())

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Go on where a whole request waits for its answer: its client may still read.

        One that has gone away looks the same, so that this is not for long.
        """
        if self.reads != "nothing" or self._is_free():
            return False
        self.is_half_closed = True
        self.cycle.keep_alive = False
        self._close_after(GONE_SECONDS)
        return True

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self.reads = "head"
        self.head_parts = 0

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the request is more than may be asked for."""
        if self.may_be_large and self._head_size() > MOST_HEAD:
            self._refuse_head()
            raise RefusedError
        self.reads = "body"
        if self.parser.should_upgrade():
            return  # parsed again without the offer
        if self.is_surplus and self.url.partition(b"?")[0] not in self.bounds.exempt:
            self.refuse(too_many(self.bounds.max_connections))
            raise RefusedError
        if self._is_free() and self._declared_size() > self.bounds.max_body:
            self.refuse(too_large(self.bounds.max_body))
            raise RefusedError
        self.answer()
        if self.is_ending or self.is_surplus:
            self.cycle.keep_alive = False

    def answer(self) -> None:
        """Begin to answer the request whose head is read."""
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self.reads = "nothing"
        if not self.parser.should_upgrade():
            self.on_whole_message()

    def on_whole_message(self) -> None:
        """Let the answer go on."""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, if there is to be one."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self.flow.write_paused:
            self.flow.pause_reading()
        if self.refused and is_last:
            self.transport.close()
        elif self.is_half_closed:
            self._close_after(GONE_SECONDS)
        elif self.reads != "nothing":
            self._close_after(self._patience())

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse_after_answers(HttpError(400, msg))

    def refuse(self, error: HttpError) -> None:
        """Answer a request that is not read to its end, and close a while later.

        If the connection were closed with something unread, it would be reset and the answer lost.
        """
        self.refused = True
        known, status, body = self.reads == "body", error.status, type(self).failed(error)
        method = self.parser.get_method().decode() if known else "-"
        path = self.url.partition(b"?")[0].decode("latin-1") if known else "-"
        type(self).observe(HttpRequest(method, path, self.headers or ()), status, len(body))
        self.cycle = None  # as before the first request
        self.reads = "nothing"
        if self.transport.is_closing():
            return
        extra = (f"{each}: {error.headers[each]}\r\n" for each in error.headers.keys() - WRITTEN)
        headers = JSON_HEADERS + "".join(extra).encode()
        self.transport.write(self.head(status, len(body), headers, keep_alive=False) + body)
        self.transport.write_eof()
        self.flow.resume_reading()
        seconds = ENDING_IDLE_SECONDS if self.is_ending else LINGER_SECONDS
        self.loop.call_later(seconds, self.transport.close)

    def head(self, status: int, length: int, headers: bytes, *, keep_alive: bool) -> bytes:
        """The head of an answer."""
        start = STATUS_LINE[status] + self._default_headers() + headers
        close = b"" if keep_alive else b"connection: close\r\n"
        return b"%b%bcontent-length: %d\r\n\r\n" % (start, close, length)

    def _default_headers(self) -> bytes:
        """The lines that every answer has, which uvicorn lists anew each second, for the date."""
        listed, lines = self.default_lines
        if listed is not self.server_state.default_headers:
            listed = self.server_state.default_headers
            lines = b"".join([b"%b: %b\r\n" % each for each in listed])
            type(self).default_lines = listed, lines
        return lines

    def shutdown(self) -> None:
        """Answer what is here or on its way, then close."""
        type(self).is_ending = True
        if not self._is_free():
            self.cycle.keep_alive = False
        if self.reads != "nothing":
            self._close_after(ENDING_SENDER_SECONDS)
        elif self._is_free():
            self._close_after(ENDING_IDLE_SECONDS)

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not fetch its answers."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read on once the client has caught up."""
        super().resume_writing()
        self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what nobody waits for any more."""
        self._unset_keepalive_if_required()
        self.alarm.cancel()
        if self.task:
            self.running.disconnected = True
            self.task.cancel()
        self.pipeline.clear()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.running = cycle
        self.task = self.loop.create_task(cycle.run_asgi(app))
        self.task.add_done_callback(self.tasks.discard)
        self.tasks.add(self.task)

    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _declared_size(self) -> int:
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
        return 0

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _wait_for_head(self, size: int) -> None:
        """Give the rest of a head, of which this much came now, what is left of its time."""
        self.head_parts += 1
        if self.head_parts == 1:
            self.head_size = 0
            self.head_until = self.loop.time() + self._patience()
        else:
            self.head_size += size
        if self.head_size > MOST_HEAD:
            self._refuse_head()
        else:
            self._close_after(min(self.head_until - self.loop.time(), self._patience()))

    def _refuse_head(self) -> None:
        error = HttpError(431, f"the request's head has more than {MOST_HEAD} bytes")
        self._refuse_after_answers(error)

    def _patience(self) -> float:
        if self.is_ending:
            return ENDING_SENDER_SECONDS
        return SURPLUS_SECONDS if self.is_surplus else SENDER_SECONDS

    def _close_after(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self.alarm.set(seconds)

    def _unset_keepalive_if_required(self) -> None:
        self.alarm.unset()
        super()._unset_keepalive_if_required()  # which uvicorn's own way has set

    def _sender_is_late(self) -> None:
        if self.flow.read_paused:  # it could not send
            self._close_after(self._patience())
        elif self.reads == "nothing":
            self.transport.close()
        else:
            self._refuse_after_answers(HttpError(408, "the rest of the request did not come"))

    def _refuse_after_answers(self, error: HttpError) -> None:
        """Refuse the request that is being read; where others wait for answers, in silence."""
        self.refused = True
        if self.reads == "body":
            if self.pipeline:
                self.pipeline.popleft()  # it had not begun
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif not self._is_free():
            return
        self.refuse(error)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the request again without its offer of another protocol, which took its body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("there are no tunnels here")
            return
        lines = [b"%b: %b\r\n" % each for each in self.headers if each[0] != b"upgrade"]
        start = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        self.data_received(start + b"".join(lines) + b"\r\n" + rest)
