"""Headers that identify a request, which the response repeats.

With them, a line in the log of a client or gateway can be matched with its response. Envoy, Istio
and NGINX set X-Request-Id; Seldon's executor sets Seldon-Puid.
"""

from collections.abc import Sequence

NAMES = frozenset({b"x-request-id", b"seldon-puid"})
MOST_BYTES = 256  # a longer value is not an ID


def ids_of(fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The header fields of a request that its response repeats."""
    return [field for field in fields if field[0] in NAMES and len(field[1]) <= MOST_BYTES]
