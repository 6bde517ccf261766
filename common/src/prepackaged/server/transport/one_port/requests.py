"""REST over HTTP/2: a request on a stream, for the same handlers as over HTTP/1."""

from prepackaged.server.transport.compression import CODINGS
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.http1 import head_size
from prepackaged.server.transport.http1.body import Body
from prepackaged.server.transport.http1.framing import (
    Fields,
    too_large,
    unknown_coding,
    with_coding,
)
from prepackaged.server.transport.http1.incoming import Incoming
from prepackaged.server.transport.http1.port import SENDER_SECONDS, HttpPort
from prepackaged.server.transport.http1.responses import WITHOUT_BODY
from prepackaged.server.transport.http1.sender_time import LEAST_RATE
from prepackaged.server.transport.http2.connection import Http2Connection
from prepackaged.server.transport.http2.headers import Headers
from prepackaged.server.transport.http2.last_parts import expect_rest
from prepackaged.server.transport.memory import SMALL
from prepackaged.server.transport.one_port.responses import CONTINUE, header_block

Request = tuple[str, bytes, list[tuple[bytes, bytes]]]

LONGEST_METHOD = 24  # characters, of which HTTP's own methods have up to 17


class RestStreams:
    """Route the streams of REST requests to the handlers of a port."""

    def __init__(self, port: HttpPort) -> None:
        self._port = port

    def accept(
        self,
        connection: Http2Connection,
        stream: int,
        headers: Headers,
        ended: bool,  # noqa: FBT001  as `http2.port.Accept` has it
    ) -> "RestStream | None":
        """Begin a request; return None if it already has its response."""
        request = RestStream(connection, stream, headers, self._port)
        if ended and request.is_open:
            request.data_received(b"", ended=True)
        return request if request.is_open else None


class RestStream:
    """A request on a stream, whose exchange sends the response.

    It is dropped with the response: the exchange refers back here, and only the garbage collector
    would find the cycle.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_incoming",
        "_is_whole",
        "_length",
        "_port",
        "_stream",
        "_waited",
    )

    succeeded = cancelled = ""  # statuses are numbers

    def __init__(
        self, connection: Http2Connection, stream: int, headers: Headers, port: HttpPort
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._port = port
        self._body = Body()
        self._is_whole = False
        self._waited = 0.0  # seconds for the body
        self._length = headers.content_length
        incoming = port.begin(self, *read_request(headers))
        self._incoming: Incoming | None = incoming
        try:
            self._begin(incoming, headers)
        except TransportError as error:
            incoming.exchange.fail(error)

    @property
    def is_open(self) -> bool:
        """Whether it has no response yet."""
        return self._incoming is not None

    def data_received(self, data: bytes, *, ended: bool) -> None:
        """Collect the body; when it is complete, call the handler."""
        incoming = self._incoming
        if incoming is None:
            return
        try:
            self._gather(incoming.exchange, data, copies=2 if ended else 1)
        except TransportError as error:
            incoming.exchange.fail(error)
            return
        if ended:
            self._is_whole = True
            incoming.exchange.body = self._body.take()
            self._port.answer(incoming)
        elif self._length is None:
            self._connection.core.consumed(self._stream)
        else:  # padding uses up credit, too (RFC 9113, 6.9.1)
            self._connection.core.want(self._stream, self._length - self._body.size)

    def send(self, exchange: Exchange, response: Response) -> None:
        """Send the response of the exchange."""
        incoming, self._incoming = self._incoming, None
        connection, stream, core = self._connection, self._stream, self._connection.core
        connection.release(stream)
        origins = incoming is not None and incoming.target.allows_origins
        block = header_block(response, exchange, allows_origins=origins)
        if exchange.method == "HEAD" or response.status in WITHOUT_BODY or not response.body:
            core.send_headers(stream, block, end=True)
        else:
            core.send_headers(stream, block)
            core.send_data(stream, response.body, end=True)
        connection.flush()

    def lost(self) -> None:
        """The client no longer waits."""
        incoming, self._incoming = self._incoming, None
        if incoming:
            incoming.exchange.cancel()

    def shut_down(self) -> None:
        """Answer the request if its rest arrives without long pauses."""
        expect_rest(self._connection.core, self._stream, self._received, self._give_up)

    def look(self, seconds: float) -> None:
        """Abort the request if its body takes too long to arrive."""
        self._waited += seconds
        if self._waited > SENDER_SECONDS + self._body.size / LEAST_RATE:
            self._give_up()

    def _received(self) -> int | None:
        return self._body.size if self._incoming and not self._is_whole else None

    def _give_up(self) -> None:
        if self._incoming and not self._is_whole:
            self._incoming.exchange.fail(
                TransportError(408, "the rest of the request did not arrive")
            )

    def _begin(self, incoming: Incoming, headers: Headers) -> None:
        """Allow the client to send the body, unless the headers are refused."""
        exchange, length = incoming.exchange, self._length or 0
        for name, value in exchange.headers:
            if name == b"content-encoding":
                incoming.coding = with_coding(incoming.coding, value)
        refuse_head(exchange, headers.size, incoming.coding)
        most = self._port.limits.max_body
        if most is not None and length > most:
            raise too_large(most)
        self._connection.core.want(self._stream, length)
        if exchange.header(b"expect").lower() == b"100-continue":
            self._connection.core.send_headers(self._stream, CONTINUE)

    def _gather(self, exchange: Exchange, data: bytes, copies: int) -> None:
        """Add a part of the body. Raises `TransportError` if it is too large."""
        body, most = self._body, self._port.limits.max_body
        body.add(data)
        if most is not None and body.size > most:
            raise too_large(most)
        if body.size > SMALL:
            exchange.hold(body.size * copies - exchange.held)


def refuse_head(exchange: Exchange, size: int, coding: bytes) -> None:
    """Raise `TransportError` for a request that cannot be answered."""
    if size > head_size.MAX_HEAD:
        raise head_size.too_large()
    if exchange.method == "CONNECT":
        raise TransportError(400, "expected a request for a resource, got CONNECT")
    if coding and coding not in CODINGS:
        raise unknown_coding(coding)


def read_request(headers: Headers) -> Request:
    """The request in headers; repeated headers are parsed once."""
    if headers.meaning is None:
        headers.meaning = read_fields(headers.fields)
    request: Request = headers.meaning
    return request


def read_fields(fields: Fields) -> Request:
    """Method, target and header fields as in HTTP/1 (RFC 9113, 8.2.3 and 8.3.1).

    `:authority` becomes Host, and the parts of a cookie become one field.
    """
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    others = [each for each in fields if not each[0].startswith(b":") and each[0] != b"cookie"]
    if b":authority" in pseudo and all(name != b"host" for name, _ in others):
        others.insert(0, (b"host", pseudo[b":authority"]))
    if cookies := [value for name, value in fields if name == b"cookie"]:
        others.append((b"cookie", b"; ".join(cookies)))
    method = pseudo.get(b":method", b"")[:LONGEST_METHOD].decode("latin-1")
    return method, pseudo.get(b":path", b"-"), others
