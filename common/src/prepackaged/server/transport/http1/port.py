"""What the connections of one REST port share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prepackaged.server.telemetry.context import Observer
from prepackaged.server.transport.http1.header_cache import HeaderCache
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import Router

if TYPE_CHECKING:
    from prepackaged.server.transport.http1.connection import HttpConnection


@dataclass(eq=False)
class HttpPort:
    """The routes behind a port, its limits, its open connections, and whether it shuts down.

    `heads` are those that their clients repeat.
    """

    router: Router
    limits: Limits
    observe: Observer
    connections: "set[HttpConnection]" = field(default_factory=set)
    heads: HeaderCache = field(default_factory=HeaderCache)
    is_shutting_down: bool = False
