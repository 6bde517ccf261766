"""A request as a connection has it, from its head to its response."""

from prepackaged.server.transport.exchange import Exchange, TransportError
from prepackaged.server.transport.routing import Target


class Incoming:
    """A request that is being read; in the end it is complete, or refused with `error`.

    `coding` is the coding in which its body is compressed, or empty.
    """

    __slots__ = ("coding", "error", "exchange", "keep_alive", "target")

    def __init__(self, exchange: Exchange, target: Target) -> None:
        self.exchange = exchange
        self.target = target
        self.keep_alive = True
        self.coding = b""
        self.error: TransportError | None = None
