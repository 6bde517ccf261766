"""A client's connection, for its port: the same for all versions of HTTP."""

from typing import Protocol

from prepackaged.server.transport.eviction import Idling


class Connection(Idling, Protocol):
    """A connection that can be shut down or aborted."""

    def shut_down(self) -> None:
        """Answer requests that were sent or are arriving, then close."""

    def abort(self) -> None:
        """Close immediately."""
