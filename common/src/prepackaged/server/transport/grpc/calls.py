"""Unary calls, on the streams of a connection."""

from collections.abc import Callable
from functools import partial

from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.grpc.headers import CallHeaders
from prepackaged.server.transport.grpc.messages import (
    MessageReader,
    framed,
    inflated_message,
    only_message,
    too_large,
)
from prepackaged.server.transport.grpc.status import (
    BEGIN,
    BEGIN_BLOCK,
    OK_BLOCK,
    CallError,
    Status,
    trailers_of,
)
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.server.transport.http2.hpack import block_of
from prepackaged.server.transport.http2.last_parts import expect_rest
from prepackaged.server.transport.inflating import inflate
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.memory import SMALL

MESSAGE_SECONDS = 60  # the time for a message to arrive
LEAST_RATE = 500  # bytes per second: a larger message gets more time at this rate


class CallExchange(Exchange):
    """An exchange whose response must fit into a gRPC message."""

    __slots__ = ("max_message",)

    max_message: int | None

    def respond(self, response: Response) -> None:
        """Send the response. A response that is too large fails, and is observed as a failure."""
        size, limit = len(response.body), self.max_message
        if limit is not None and size > limit:
            error = too_large(size, limit)
            self.fail(CallError(error.status, f"the response: {error}"))
        else:
            Exchange.respond(self, response)


class CallWithDeadline(CallExchange):
    """A call with a deadline from its client."""

    __slots__ = ()

    has_own_deadline = True


class UnaryMethod:
    """The handler of the unary calls of a path."""

    __slots__ = ("failure", "handler", "limits", "observe")

    def __init__(
        self,
        handler: Callable[[Exchange], None],
        failure: Callable[[Exchange, BaseException], Response],
        observe: Observer,
        limits: Limits,
    ) -> None:
        self.handler = handler
        self.failure = failure
        self.observe = observe
        self.limits = limits

    def call(self, connection: Http2Connection, stream: int, headers: CallHeaders) -> "UnaryCall":
        """Begin a call."""
        return UnaryCall(connection, stream, headers, self)


class UnaryCall:
    """A call with one message and one response, which an exchange sends.

    The call drops the exchange when it ends: the exchange refers to the call, and only the garbage
    collector would find the cycle.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_encoding",
        "_exchange",
        "_is_whole",
        "_method",
        "_reader",
        "_stream",
        "_waited",
    )

    succeeded = "OK"
    cancelled = "CANCELLED"

    def __init__(
        self, connection: Http2Connection, stream: int, headers: CallHeaders, method: UnaryMethod
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._method = method
        self._encoding = headers.encoding
        self._reader: MessageReader | None = None
        self._body: bytes | None = None
        self._is_whole = False
        self._waited = 0.0  # seconds for the message
        make = CallExchange if headers.timeout is None else CallWithDeadline
        failure, observe, memory = method.failure, method.observe, method.limits.memory
        exchange = make("gRPC", headers.path, headers.fields, self, failure, observe, memory)
        exchange.max_message = method.limits.max_body
        self._exchange: Exchange | None = exchange
        if headers.timeout is not None:
            exchange.expire_after(headers.timeout, "the deadline of the call")

    @property
    def is_open(self) -> bool:
        """Whether it has no response yet."""
        return self._exchange is not None

    def data_received(self, data: bytes, *, ended: bool) -> None:
        """Collect the message; when it is complete, call the handler."""
        exchange = self._exchange
        if exchange is None:
            return
        body = None
        if ended and self._reader is None:
            body = only_message(data, self._method.limits.max_body)
        try:
            if body is None:
                body = self._gathered(exchange, data, ended=ended)
            elif len(body) > SMALL:
                exchange.hold(len(body))
        except (CallError, TransportError) as error:
            exchange.fail(error)
        else:
            if ended:
                self._is_whole = True
                exchange.body = body
                self._handle(exchange)

    def send(self, exchange: Exchange, response: Response) -> None:  # noqa: ARG002  a carrier's
        """Send the response of the exchange."""
        self._exchange = None
        connection, stream = self._connection, self._stream
        connection.release(stream)
        core = connection.core
        if response.code:
            trailers = trailers_of(response.code, response.details)
            others = (response.headers or {}).items()
            core.send_headers(stream, block_of(*BEGIN, *trailers, *others), end=True)
        else:
            core.send_response(stream, BEGIN_BLOCK, framed(response.body), OK_BLOCK)
        connection.flush()

    def lost(self) -> None:
        """The client no longer waits."""
        exchange, self._exchange = self._exchange, None
        if exchange:
            exchange.cancel()

    def shut_down(self) -> None:
        """Answer the call if the rest of its message arrives without long pauses."""
        expect_rest(self._connection.core, self._stream, self._received, self._give_up)

    def look(self, seconds: float) -> None:
        """Abort the call if its message takes too long to arrive."""
        received = self._received()
        if received is None:
            return
        self._waited += seconds
        if self._waited > MESSAGE_SECONDS + received / LEAST_RATE:
            self._give_up()

    def _received(self) -> int | None:
        """The number of bytes received of the message; None once it is complete or refused."""
        if self._exchange is None or self._is_whole:
            return None
        return 0 if self._reader is None else self._reader.size

    def _give_up(self) -> None:
        if self._exchange:
            self._exchange.fail(TransportError(408, "the rest of the message did not arrive"))

    def _handle(self, exchange: Exchange) -> None:
        method = self._method
        if method.limits.timeout is not None:
            exchange.expire_after(method.limits.timeout, "the configured timeout")
        try:
            if self._reader and self._reader.is_compressed:
                self._inflate(exchange)
            else:
                method.handler(exchange)
        except BaseException as error:  # including the model's SystemExit
            exchange.fail(error)

    def _inflate(self, exchange: Exchange) -> None:
        """Decompress the message, on another thread if it is large, then call the handler."""
        method = self._method
        work = partial(inflated_message, exchange.body, self._encoding, method.limits.max_body)
        inflate(exchange, self._encoding, partial(work, hold=exchange.hold), method.handler)

    def _gathered(self, exchange: Exchange, data: bytes, *, ended: bool) -> bytes:
        """The message, if it is complete. Raises `CallError` if the call ends without one."""
        reader = self._reader
        if reader is None:
            limit = self._method.limits.max_body
            reader = self._reader = MessageReader(self._encoding, limit)
        reader.feed(data)
        if self._body is None:
            if reader.size > SMALL:
                exchange.hold(reader.size - exchange.held)
            self._body = reader.next()
            if self._body is not None and len(self._body) > SMALL:
                exchange.hold(2 * len(self._body) - exchange.held)  # the bytes so far, and these
        if self._body is not None and reader.has_bytes:
            raise CallError(Status.INVALID_ARGUMENT, "expected one message, got another")
        if ended and self._body is None:
            got = "a part of one" if reader.has_bytes else "none"
            raise CallError(Status.INVALID_ARGUMENT, f"expected one message, got {got}")
        if reader.has_bytes:
            self._connection.core.want(self._stream, reader.missing)
        return self._body or b""
