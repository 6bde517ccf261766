"""One client's HTTP/1 connection: requests in, responses out in their order, and its timeouts.

No client can fill the memory, or stay forever without sending or reading. Requests are read
until one is refused; those before it are answered.
"""

import asyncio
import time
from collections import deque
from functools import partial
from typing import Any

from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.http1.incoming import Incoming
from prepackaged.server.transport.http1.port import SHUTDOWN_IDLE_SECONDS, HttpPort
from prepackaged.server.transport.http1.reader import RequestReader
from prepackaged.server.transport.http1.responses import encoded
from prepackaged.server.transport.http1.sender_time import SenderTime
from prepackaged.server.transport.idle_timer import IdleTimer
from prepackaged.server.transport.unread import Unread, kept_by_kernel

GONE_SECONDS = 1  # seconds for the response to a client that sends no more and may be gone
LINGER_SECONDS = 5  # the time for a client to read why it was refused
TURN_SECONDS = 0.002  # seconds of an iteration of the event loop for one client's requests
MUCH = 2**17  # bytes received in one read; then other clients get their turn
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """Reads requests, lets handlers answer them one by one, and writes the responses."""

    succeeded = cancelled = ""  # statuses are numbers

    def __init__(self, port: HttpPort) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(
            partial(port.begin, self),
            port.limits.max_body,
            port.heads,
            port.limits.memory,
        )
        self._timer = IdleTimer(self._loop, self._time_out)
        self._queue: deque[Incoming] = deque()
        self._current: Incoming | None = None  # the request that is being answered
        self._is_answering = False
        self.is_surplus = False  # whether there were too many connections when it was opened
        self._is_half_closed = False  # the client sends no more
        self._is_writable = True
        self._resumed = 0  # how often the client has read responses that were too much
        self._is_reading = True
        self._is_closing = False
        self._goes_on = False  # with reading, when others had their turn
        self._sender_time = SenderTime()
        self._unread = Unread(port.limits.memory, self._unread_bytes, self.abort)

    def connection_made(self, transport: Any) -> None:
        """Wait for a request, for a limited time; uvloop's transports are no asyncio.Transport."""
        self._transport: asyncio.Transport = transport
        self._idle_since = self._loop.time()
        self.is_surplus = self._port.add(self, self._idle_since)
        if self.is_surplus:
            self._reader.check = self._port.refuse_surplus
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Cancel requests and timers of the closed connection."""
        self._is_closing = True
        self._timer.cancel()
        self._unread.close()
        self._port.discard(self)
        waiting = [*filter(None, (self._current, *self._queue))]
        self._current = None
        self._queue.clear()
        for incoming in waiting:
            incoming.exchange.cancel()
        self._reader.close()

    def data_received(self, data: bytes) -> None:
        """Read requests, and answer them unless an earlier one is still being answered."""
        reader = self._reader
        incoming = reader.receive(data)
        if reader.rest:
            incoming = self._read_on(incoming)
        if len(data) > MUCH:
            self._pause_for_others()
        self._take(incoming)

    def _read_on(self, incoming: list[Incoming]) -> list[Incoming]:
        """Read received bytes until there is a request to answer or this client's turn ends."""
        until = time.perf_counter() + TURN_SECONDS
        while self._reader.rest and not incoming and time.perf_counter() < until:
            incoming = self._reader.read_on()
        if self._reader.rest:
            self._pause_for_others()
        return incoming

    def _pause_for_others(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._go_on)
        if self._is_reading and not self._transport.is_closing():
            self._is_reading = False
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Go on reading when others had their turn, unless there are requests to answer before."""
        self._goes_on = False
        if self._queue or not self._is_writable:
            return
        if self._reader.rest:
            self._take(self._read_on([]))
        self._flow()

    def _take(self, incoming: list[Incoming]) -> None:
        if not incoming:
            self._send_continue()
            self._set_timer()
            return
        self._sender_time.reset()
        self._queue += incoming
        self._answer_queued()

    def eof_received(self) -> bool:
        """Continue if a complete request waits for its response: its client may still read.

        A client that has disconnected looks the same, so the wait is short.
        """
        if self._reader.reads != "nothing" or not self._is_busy():
            return False
        self._is_half_closed = True
        for incoming in filter(None, (self._current, *self._queue)):
            incoming.exchange.left_at = time.perf_counter()
        self._set_timer()
        return True

    def pause_writing(self) -> None:
        """Stop answering and reading until the client has read its responses."""
        self._is_writable = False
        self._unread.update()
        self._flow()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_writable = True
        self._resumed += 1
        self._unread.update()
        self._answer_queued()

    def shut_down(self) -> None:
        """Answer requests that were sent or are arriving, then close; `is_shutting_down` is set."""
        self._set_timer()

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def idle_since(self) -> float | None:
        """The time when it became idle or its header block began; None during a request."""
        if self._is_busy() or self._is_closing or self._reader.reads == "body":
            return None
        return self._idle_since

    def end_idle(self) -> None:
        """Make room for another client; responses that this one has not read are lost."""
        self._port.discard(self)
        is_unread = self._transport.get_write_buffer_size() > 0
        (self.abort if is_unread else self._close)()

    def send(self, exchange: Exchange, response: Response) -> None:
        """Write the response to the request that is being answered."""
        incoming, self._current = self._current, None
        transport = self._transport
        if incoming is None or transport.is_closing():
            return
        is_last = not incoming.keep_alive or self._closes_after_responses()
        origins = incoming.target.allows_origins
        transport.write(encoded(response, exchange, keep_alive=not is_last, allows_origins=origins))
        if incoming.error:
            self._linger()
        elif is_last:
            self._close()
        elif not self._is_answering:
            if self._queue or self._reader.expects_continue or not self._is_reading:
                self._answer_queued()
            else:
                self._set_timer()

    def _answer_queued(self) -> None:
        """Hand over one request after another, until one is not answered immediately."""
        self._is_answering = True
        queue = self._queue
        until = time.perf_counter() + TURN_SECONDS if len(queue) > 1 else 0.0
        while queue and self._current is None and self._is_writable:
            self._current = incoming = queue.popleft()
            self._port.answer(incoming)
            if queue and time.perf_counter() > until:
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
        """Tell a waiting client to send its body, when its turn has come."""
        if self._reader.expects_continue and not self._is_busy():
            self._reader.expects_continue = False
            self._transport.write(CONTINUE)

    def _is_busy(self) -> bool:
        return self._current is not None or bool(self._queue)

    def _flow(self) -> None:
        """Read more when no request waits for its answer and the client reads its responses."""
        reads = self._is_writable and not self._queue
        if reads and (self._goes_on or self._reader.rest):
            self._pause_for_others()
            return
        if reads == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = reads
        if reads:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _unread_bytes(self) -> tuple[int, Any]:
        waits = self._is_closing or not self._is_writable
        size = self._transport.get_write_buffer_size() if waits else 0
        return size, size and (size, self._resumed, kept_by_kernel(self._transport))

    def _closes_after_responses(self) -> bool:
        """Whether the connection closes after the response that is being written."""
        if self.is_surplus or self._port.limits.keepalive == 0:
            return True
        if not (self._is_half_closed or self._port.is_shutting_down):
            return False
        return not self._queue and self._reader.reads == "nothing"

    def _linger(self) -> None:
        """Close once the client had time to read why it was refused.

        To close with something unread would reset the connection, and lose the response.
        """
        self._is_closing = True
        self._transport.write_eof()
        self._drop_queued()
        self._flow()
        self._timer.set(SHUTDOWN_IDLE_SECONDS if self._port.is_shutting_down else LINGER_SECONDS)

    def _close(self) -> None:
        """Close once the client has read its responses, while it does."""
        self._is_closing = True
        self._drop_queued()
        self._transport.close()
        self._timer.unset()
        self._unread.update()

    def _drop_queued(self) -> None:
        """Drop the requests behind the last one that is answered."""
        while self._queue:
            self._queue.popleft().exchange.abandon()

    def _set_timer(self) -> None:
        """Set the timer for the client's next step."""
        if self._is_closing:
            return
        if self._is_half_closed:
            self._timer.set(GONE_SECONDS)
        elif self._reader.reads != "nothing":
            self._timer.set(self._seconds_to_send())
        elif self._current is not None or self._queue:
            self._timer.unset()
        else:
            self._idle_since = now = self._loop.time()
            self._timer.set(self._port.idle_seconds(self), now)

    def _seconds_to_send(self) -> float:
        now, seconds = self._loop.time(), self._port.sender_seconds(self)
        if self._reader.reads == "head":
            return self._sender_time.of_head(now, seconds)
        return self._sender_time.of_body(now, seconds, self._reader.body_size)

    def _time_out(self) -> None:
        if self._is_busy() and self._reader.reads == "nothing" and not self._is_half_closed:
            self._set_timer()  # set before the request; its response will set it again
        elif self._is_closing or self._is_half_closed or self._reader.reads == "nothing":
            self._close()
        elif self._queue or not self._is_writable:  # the server does not let the client send
            self._set_timer()
        else:
            self._queue.extend(self._reader.time_out())
            self._answer_queued()
