"""What the connections of one HTTP/2 port share, and who gets the events of their streams."""

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
        """Take data; `ended` says that nothing more follows."""

    def lost(self) -> None:
        """The client wants no answer any more, or its connection is lost."""

    def shut_down(self) -> None:
        """The server stops; end a stream that would go on for ever."""

    def look(self, seconds: float) -> None:
        """So much time has passed since this was called last."""


IDLE_SECONDS = 3600  # without a call, after which a connection ends: clients of gRPC keep theirs

#: Takes a stream that a client opened; `ended` says that nothing but headers belongs to it.
Accept = Callable[["Http2Connection", int, Headers, bool], StreamUser | None]


@dataclass(frozen=True)
class Http2Port:
    """What the connections of a port share.

    `not_http2` is the answer to a client that speaks something else. `memory` is what all
    requests share. `idle_seconds` are those that a connection has until its next call.
    """

    accept: Accept
    connections: set[Connection]
    max_connections: float
    not_http2: bytes
    memory: MemoryBudget = UNLIMITED
    idle_seconds: float = IDLE_SECONDS
    eviction: Eviction = field(default_factory=Eviction)
