"""The shared state of an HTTP/2 port's connections, and the receivers of stream events."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from prepackaged.server.transport.connections import Connection
from prepackaged.server.transport.eviction import Eviction
from prepackaged.server.transport.http2.headers import Headers
from prepackaged.server.transport.memory import UNLIMITED, MemoryBudget

if TYPE_CHECKING:
    from prepackaged.server.transport.http2.connection import Http2Connection


class StreamUser(Protocol):
    """The receiver of one stream's events, until `Http2Connection.release`."""

    def data_received(self, data: bytes, *, ended: bool) -> None:
        """Receive data; `ended` is true if nothing more follows."""

    def lost(self) -> None:
        """The client no longer wants an answer, or its connection is lost."""

    def shut_down(self) -> None:
        """End the streams that would not end by themselves: the server is shutting down."""

    def look(self, seconds: float) -> None:
        """Check timeouts; called at regular intervals."""


IDLE_SECONDS = 3600  # a connection without calls closes after this many seconds

#: Gets a stream that a client opened; `ended` is true if only headers belong to it.
Accept = Callable[["Http2Connection", int, Headers, bool], StreamUser | None]


@dataclass(frozen=True)
class Http2Port:
    """The shared state of a port's connections.

    `not_http2` is the answer to a client that does not speak HTTP/2. `memory` is the budget of all
    requests. After `idle_seconds` without a call, a connection is closed.
    """

    accept: Accept
    connections: set[Connection]
    max_connections: float
    not_http2: bytes
    memory: MemoryBudget = UNLIMITED
    idle_seconds: float = IDLE_SECONDS
    eviction: Eviction = field(default_factory=Eviction)
