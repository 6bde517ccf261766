"""The state that the connections of one REST port share."""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.connections import Connection
from prepackaged.server.transport.eviction import Eviction
from prepackaged.server.transport.exchange import Carrier, Exchange, TransportError
from prepackaged.server.transport.http1.framing import Fields, inflated_body
from prepackaged.server.transport.http1.header_cache import HeaderCache
from prepackaged.server.transport.http1.incoming import Incoming
from prepackaged.server.transport.http2.last_parts import SHUTDOWN_SENDER_SECONDS
from prepackaged.server.transport.inflating import inflate
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import Router, handler_of

SENDER_SECONDS = 60  # seconds for a request's head, and then for each part of its body
SURPLUS_SECONDS = 2  # the same if there are too many connections
MOST_SURPLUS = 64  # the most excess connections that get a refusal; a further one closes the oldest
SHUTDOWN_IDLE_SECONDS = 0.25  # the wait for requests on their way when the server shuts down

if TYPE_CHECKING:
    from prepackaged.server.transport.http1.connection import HttpConnection


@dataclass(eq=False)
class HttpPort:
    """The routes behind a port, its limits, its open connections, and whether it shuts down.

    `heads` are header blocks that clients repeat, and `surplus` are the excess connections.
    """

    router: Router
    limits: Limits
    observe: Observer
    connections: set[Connection] = field(default_factory=set)
    heads: HeaderCache = field(default_factory=HeaderCache)
    surplus: "dict[HttpConnection, None]" = field(default_factory=dict)
    eviction: Eviction = field(default_factory=Eviction)
    is_shutting_down: bool = False

    def add(self, connection: "HttpConnection", now: float) -> bool:
        """Count a new connection; return whether it is in excess and no other could be closed."""
        connections, most = self.connections, self.limits.max_connections
        is_surplus = len(connections) >= most and not self.eviction.make_room(connections, now)
        connections.add(connection)
        if is_surplus:
            self.surplus[connection] = None
            if len(self.surplus) > MOST_SURPLUS:
                oldest = next(iter(self.surplus))
                self.discard(oldest)
                oldest.abort()
        return is_surplus

    def discard(self, connection: "HttpConnection") -> None:
        """Count a connection no more."""
        self.connections.discard(connection)
        self.surplus.pop(connection, None)

    def begin(self, carrier: Carrier, method: str, target: bytes, fields: Fields) -> Incoming:
        """Begin a request; `carrier`, such as its connection, sends the response."""
        found = self.router.find(target)
        memory = self.limits.memory  # keyword arguments would take twice as long
        exchange = Exchange(
            method, found.path, fields, carrier, found.failure, self.observe, memory
        )
        exchange.query = found.query
        return Incoming(exchange, found)

    def refuse_surplus(self, exchange: Exchange) -> None:
        """Refuse a request on an excess connection: raise `TransportError` 503."""
        most = self.limits.max_connections
        if exchange.path not in self.limits.exempt:
            message = f"there are already {most} connections, the maximum"
            raise TransportError(503, message, **{"Retry-After": "1"})

    def sender_seconds(self, connection: "HttpConnection") -> float:
        """The time that a client has to send the next part of its request."""
        if self.is_shutting_down:
            return SHUTDOWN_SENDER_SECONDS
        return SURPLUS_SECONDS if connection.is_surplus else SENDER_SECONDS

    def idle_seconds(self, connection: "HttpConnection") -> float:
        """The time that a client has until its next request."""
        if self.is_shutting_down:
            return SHUTDOWN_IDLE_SECONDS
        return SURPLUS_SECONDS if connection.is_surplus else self.limits.keepalive or SENDER_SECONDS

    def answer(self, incoming: Incoming) -> None:
        """Let the handler of a request answer it, or refuse the request."""
        exchange = incoming.exchange
        try:
            if incoming.error:
                raise incoming.error
            handlers, method = incoming.target.handlers, exchange.method
            handler = handlers.get(method) or handler_of(method, incoming.target)
            if (timeout := self.limits.timeout) is not None:
                exchange.expire_after(timeout, "the configured timeout")
            if incoming.coding:
                work = partial(inflated_body, exchange, incoming.coding, self.limits.max_body)
                inflate(exchange, incoming.coding, work, handler)
            else:
                handler(exchange)
        except BaseException as error:  # including the model's SystemExit
            exchange.fail(error)
