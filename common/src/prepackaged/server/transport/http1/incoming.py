"""A request as a connection has it, from its head to its response."""

from prepackaged.server.transport.exchange import Exchange, TransportError
from prepackaged.server.transport.routing import Target


class Incoming:
    """A request as it is read, whole or refused with `error`; neither while its body arrives.

    `coding` is how its body is compressed, empty where it is not.
    """

    __slots__ = ("coding", "error", "exchange", "keep_alive", "target")

    def __init__(self, exchange: Exchange, target: Target) -> None:
        self.exchange = exchange
        self.target = target
        self.keep_alive = True
        self.coding = b""
        self.error: TransportError | None = None
