"""A client's connection, of whichever version of HTTP, as its port knows it."""

from typing import Protocol

from prepackaged.server.transport.eviction import Idling


class Connection(Idling, Protocol):
    """It ends on request, or when it is idle and there are too many."""

    def shut_down(self) -> None:
        """Answer what was sent or is on its way, then close."""

    def abort(self) -> None:
        """Close at once."""
