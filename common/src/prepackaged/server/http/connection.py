"""uvicorn's HTTP connection with bounds: on heads, bodies, slow senders and its own end."""

import asyncio
from typing import Any, ClassVar, Literal, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MOST_HEAD = 64 * 1024  # bytes of a request's head that comes in parts
SENDER_SECONDS = 60  # for the next part of a request
ENDING_SENDER_SECONDS = 2  # the same once the server is to end
ENDING_IDLE_SECONDS = 0.25  # for a request that is on its way when the server is to end
LINGER_SECONDS = 5  # for a client to read why it was refused
JSON_HEADERS = b"content-type: application/json\r\naccess-control-allow-origin: *\r\n"
TEXT_HEADERS = b"content-type: text/plain; charset=utf-8\r\n"


class Observer(Protocol):
    """Told of every request: what it was, how it was answered, with how many bytes, how soon."""

    def __call__(self, method: str, path: str, status: int, size: int, seconds: float) -> None:
        """Note a request."""


class RefusedError(Exception):
    """Stops the parser: the request is refused and what follows is not read."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose client can neither fill the memory nor stay forever without sending.

    Requests are read until one is refused; those that came before it are answered. Every
    server has a class of its own, which knows when that server is to end.
    """

    max_body: ClassVar[int]
    too_large: ClassVar[bytes]
    observe: ClassVar[Observer]
    is_ending: ClassVar[bool] = False

    cycle: Any  # the latest request: uvicorn's, or one that has what uvicorn asks of it
    reads: Literal["nothing", "head", "body"] = "nothing"
    head_size = 0
    is_deaf = False  # a request was refused, what comes now is ignored
    running: Any = None  # uvicorn's request that is being answered
    task: "asyncio.Task[Any] | None" = None  # and what answers it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not forever."""
        super().connection_made(transport)
        self._close_after(SENDER_SECONDS)
        if self.is_ending:
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        """Read what came, and wait a while for the rest if it is not whole."""
        if self.is_deaf:
            return
        self._unset_keepalive_if_required()
        was_head = self.reads == "head"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.is_deaf:
                self.send_400_response("Invalid HTTP request received.")
        if self.reads == "nothing" or self.is_deaf:
            return
        if was_head and self.reads == "head":
            self.head_size += len(data)
        if self.head_size > MOST_HEAD:
            self._refuse_after_answers(431, b"The head of the request is too large.")
        else:
            self._close_after(ENDING_SENDER_SECONDS if self.is_ending else SENDER_SECONDS)

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self.reads = "head"
        self.head_size = 0

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the body is declared too large."""
        self.reads = "body"
        if self.parser.should_upgrade():
            return  # parsed again without the offer
        if self._is_free() and self._declared_size() > self.max_body:
            self.refuse(413, self.too_large, JSON_HEADERS)
            raise RefusedError
        self.answer()
        if self.is_ending:
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
        if self.is_deaf and is_last:
            self.transport.close()
        elif self.reads != "nothing":
            self._close_after(SENDER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse_after_answers(400, msg.encode())

    def refuse(self, status: int, body: bytes, headers: bytes = TEXT_HEADERS) -> None:
        """Answer a request that is not read to its end, and close a while later.

        If the connection were closed with something unread, it would be reset and the answer lost.
        """
        self.is_deaf = True
        known = self.reads == "body"
        method = self.parser.get_method().decode() if known else "-"
        path = self.url.partition(b"?")[0].decode("latin-1") if known else "-"
        type(self).observe(method, path, status, len(body), 0.0)
        self.cycle = None  # as before the first request
        self.reads = "nothing"
        if self.transport.is_closing():
            return
        self.transport.write(self.head(status, len(body), headers, keep_alive=False) + body)
        self.transport.write_eof()
        self.flow.resume_reading()
        seconds = ENDING_IDLE_SECONDS if self.is_ending else LINGER_SECONDS
        self.loop.call_later(seconds, self.transport.close)

    def head(self, status: int, length: int, headers: bytes, *, keep_alive: bool) -> bytes:
        """The head of an answer."""
        default = b"".join([b"%b: %b\r\n" % each for each in self.server_state.default_headers])
        close = b"" if keep_alive else b"connection: close\r\n"
        return (
            STATUS_LINE[status] + default + headers + close + b"content-length: %d\r\n\r\n" % length
        )

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

    def _close_after(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._sender_is_late)

    def _sender_is_late(self) -> None:
        if self.flow.read_paused:  # it could not send
            self._close_after(SENDER_SECONDS)
        elif self.reads == "nothing":
            self.transport.close()
        else:
            self._refuse_after_answers(408, b"The rest of the request did not come.")

    def _refuse_after_answers(self, status: int, body: bytes) -> None:
        """Refuse the request that is being read; where others wait for answers, in silence."""
        self.is_deaf = True
        if self.reads == "body":
            if self.pipeline:
                self.pipeline.popleft()  # it had not begun
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif not self._is_free():
            return
        self.refuse(status, body)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the request again without its offer of another protocol, which took its body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("Invalid HTTP request received.")
            return
        lines = [b"%b: %b\r\n" % each for each in self.headers if each[0] != b"upgrade"]
        start = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        self.data_received(start + b"".join(lines) + b"\r\n" + rest)
