"""One client's HTTP/1 connection: requests in, responses out in their order, and its timeouts.

No client can fill the memory, or stay forever without sending or reading. Requests are read
until one is refused; those before it are answered.
"""

import asyncio
import time
from collections import deque
from typing import Any

from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.http1.port import HttpPort
from prepackaged.server.transport.http1.reader import Fields, Incoming, RequestReader
from prepackaged.server.transport.http1.responses import encoded
from prepackaged.server.transport.idle_timer import IdleTimer
from prepackaged.server.transport.routing import handler_of

SENDER_SECONDS = 60  # for a request's head, and then for each further part of its body
SURPLUS_SECONDS = 2  # the same where there are too many connections
SHUTDOWN_SENDER_SECONDS = 2  # the same once the server shuts down
SHUTDOWN_IDLE_SECONDS = 0.25  # for a request that is on its way when the server shuts down
GONE_SECONDS = 1  # for the response to a client that sends no more: it waits, or it is gone
LINGER_SECONDS = 5  # for a client to read why it was refused
TURN_SECONDS = 0.002  # what one iteration of the event loop may spend on one client's requests
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """Reads requests, lets handlers answer them one after another, and writes the responses."""

    succeeded = cancelled = ""  # statuses are numbers

    def __init__(self, port: HttpPort) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(self._begin, self._check, port.limits.max_body, port.heads)
        self._timer = IdleTimer(self._loop, self._time_out)
        self._queue: deque[Incoming] = deque()
        self._current: Incoming | None = None  # which is being answered
        self._is_answering = False
        self._is_surplus = False  # there are too many connections without this one
        self._is_half_closed = False  # the client sends no more
        self._is_writable = True
        self._is_reading = True
        self._is_closing = False
        self._head_until = 0.0  # when the head that is being read must be whole

    def connection_made(self, transport: Any) -> None:
        """Wait for a request, but not forever; uvloop's transports are no asyncio.Transport."""
        self._transport: asyncio.Transport = transport
        connections, limits = self._port.connections, self._port.limits
        connections.add(self)
        self._is_surplus = len(connections) > limits.max_connections
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Cancel what nobody waits for any more."""
        self._is_closing = True
        self._timer.cancel()
        self._port.connections.discard(self)
        waiting = [self._current, *self._queue]
        self._current = None
        self._queue.clear()
        for incoming in waiting:
            if incoming:
                incoming.exchange.cancel()
        self._reader.close()

    def data_received(self, data: bytes) -> None:
        """Read requests, and answer them unless an earlier one is still being answered."""
        incoming = self._reader.receive(data)
        if not incoming:
            self._send_continue()
            self._set_timer()
            return
        self._head_until = 0.0  # of the next head
        self._queue += incoming
        self._answer_queued()

    def eof_received(self) -> bool:
        """Go on where a whole request waits for its response: its client may still read.

        One that has gone away looks the same, so that this is not for long.
        """
        if self._reader.reads != "nothing" or not self._is_busy():
            return False
        self._is_half_closed = True
        self._set_timer()
        return True

    def pause_writing(self) -> None:
        """Answer nothing more, and read nothing, until the client has read its responses."""
        self._is_writable = False
        self._flow()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_writable = True
        self._answer_queued()

    def shut_down(self) -> None:
        """Answer what was sent or is on its way, then close; `is_shutting_down` is set before."""
        self._set_timer()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def send(self, exchange: Exchange, response: Response) -> None:
        """Write the response to the request that is being answered."""
        incoming, self._current = self._current, None
        transport = self._transport
        if incoming is None or transport.is_closing():
            return
        is_last = not incoming.keep_alive or self._closes_after_responses()
        is_head = exchange.method == "HEAD"
        transport.write(encoded(response, keep_alive=not is_last, is_head=is_head))
        if incoming.error:
            self._linger()
        elif is_last:
            self._close()
        elif not self._is_answering:
            if self._queue or self._reader.expects_continue or not self._is_reading:
                self._answer_queued()
            else:
                self._set_timer()

    def _begin(self, method: str, target: bytes, fields: Fields) -> Incoming:
        port = self._port
        found = port.router.find(target)
        exchange = Exchange(
            method, found.path, fields, carrier=self, failure=found.failure, observe=port.observe
        )
        exchange.query = found.query
        return Incoming(exchange, found)

    def _check(self, exchange: Exchange) -> None:
        limits = self._port.limits
        if self._is_surplus and exchange.path not in limits.exempt:
            message = f"there are {limits.max_connections} connections, which is all that may be"
            raise TransportError(503, message, **{"Retry-After": "1"})

    def _answer_queued(self) -> None:
        """Hand over one request after another, until one is not answered at once."""
        self._is_answering = True
        queue = self._queue
        until = time.perf_counter() + TURN_SECONDS if len(queue) > 1 else 0.0
        while queue and self._current is None and self._is_writable:
            self._current = incoming = queue.popleft()
            self._answer(incoming)
            if self._is_closing:
                queue.clear()
            elif queue and time.perf_counter() > until:
                self._loop.call_soon(self._answer_queued)  # other clients take their turn
                break
        self._is_answering = False
        if self._current is None or queue or self._reader.reads != "nothing":
            self._send_continue()
            self._flow()
            self._set_timer()
        elif not self._is_reading:
            self._flow()

    def _send_continue(self) -> None:
        """Let a client send the body that it asks about, when its turn has come."""
        if self._reader.expects_continue and not self._is_busy():
            self._reader.expects_continue = False
            self._transport.write(CONTINUE)

    def _answer(self, incoming: Incoming) -> None:
        exchange = incoming.exchange
        try:
            if incoming.error:
                raise incoming.error
            handler = handler_of(exchange.method, incoming.target)
            if (timeout := self._port.limits.timeout) is not None:
                exchange.expire_after(timeout, "the time that is set for one")
            handler(exchange)
        except Exception as error:
            exchange.fail(error)

    def _is_busy(self) -> bool:
        return self._current is not None or bool(self._queue)

    def _flow(self) -> None:
        """Read on when there is nothing to answer before, and the client reads its responses."""
        reads = self._is_writable and not self._queue
        if reads == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = reads
        if reads:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _closes_after_responses(self) -> bool:
        """Whether the connection ends with the response that is written now."""
        port = self._port
        if self._is_surplus or port.limits.keepalive == 0:
            return True
        if not (self._is_half_closed or port.is_shutting_down):
            return False
        return not self._queue and self._reader.reads == "nothing"

    def _linger(self) -> None:
        """Close once the client had time to read why it was refused.

        To close with something unread would reset the connection, and lose the response.
        """
        self._is_closing = True
        self._transport.write_eof()
        self._queue.clear()
        self._flow()
        is_short = self._port.is_shutting_down
        self._timer.set(SHUTDOWN_IDLE_SECONDS if is_short else LINGER_SECONDS)

    def _close(self) -> None:
        self._is_closing = True
        self._transport.close()

    def _set_timer(self) -> None:
        """Give the client its time for what it is to do next."""
        if self._is_closing:
            return
        if self._is_half_closed:
            self._timer.set(GONE_SECONDS)
        elif self._reader.reads == "head":
            self._head_until = self._head_until or self._loop.time() + self._sender_seconds()
            self._timer.set(min(self._head_until - self._loop.time(), self._sender_seconds()))
        elif self._reader.reads == "body":
            self._timer.set(self._sender_seconds())
        elif self._is_busy():
            self._timer.unset()
        else:
            self._timer.set(self._idle_seconds())

    def _sender_seconds(self) -> float:
        if self._port.is_shutting_down:
            return SHUTDOWN_SENDER_SECONDS
        return SURPLUS_SECONDS if self._is_surplus else SENDER_SECONDS

    def _idle_seconds(self) -> float:
        if self._port.is_shutting_down:
            return SHUTDOWN_IDLE_SECONDS
        return (
            SURPLUS_SECONDS if self._is_surplus else self._port.limits.keepalive or SENDER_SECONDS
        )

    def _time_out(self) -> None:
        if self._is_busy() and self._reader.reads == "nothing" and not self._is_half_closed:
            self._set_timer()  # set before the request, whose response will set it again
        elif self._is_closing or self._is_half_closed or self._reader.reads == "nothing":
            self._close()
        elif self._queue or not self._is_writable:  # the server does not let it send
            self._set_timer()
        else:
            self._queue.extend(self._reader.time_out())
            self._answer_queued()
