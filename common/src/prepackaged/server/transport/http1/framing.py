"""What the header fields of a request say of its body (RFC 9112, sections 3.2 and 6)."""

import sys
import zlib
from collections.abc import Sequence

from prepackaged.server.transport.compression import CODINGS, TooLargeError, inflated
from prepackaged.server.transport.exchange import Exchange, TransportError

VERSIONS = ("1.1", "1.0")

Fields = Sequence[tuple[bytes, bytes]]


class Framing:
    """The declared `length` of a body, 0 where there is none; its `coding`; and what is wrong.

    `expects_continue` says that the client waits for "100 Continue" before it sends the body.
    """

    __slots__ = ("coding", "error", "expects_continue", "length")

    def __init__(self, fields: Fields, version: str) -> None:
        self.length, self.coding, self.expects_continue = 0, b"", False
        hosts = 0
        for name, value in fields:
            if name == b"content-length":
                self.length = int(value)
            elif name == b"host":
                hosts += 1
            elif name == b"expect":
                self.expects_continue = value.lower() == b"100-continue"
            elif name == b"content-encoding" and value.lower() != b"identity":
                self.coding = value.lower()
        self.error = self._problem(hosts, version)

    def _problem(self, hosts: int, version: str) -> TransportError | None:
        if version not in VERSIONS:
            return TransportError(400, f"expected HTTP/1.1 or 1.0, got HTTP/{version}")
        if hosts > 1 or (hosts == 0 and version == "1.1"):  # RFC 9112, 3.2
            return TransportError(400, f"expected one Host header, got {hosts}")
        if self.coding and self.coding not in CODINGS:  # RFC 9110, 8.4
            return unknown_coding(self.coding)
        return None


def unknown_coding(coding: bytes) -> TransportError:
    """The refusal of a body that is compressed in another way."""
    named = coding.decode("latin-1")[:80]
    return TransportError(415, f"expected Content-Encoding gzip or deflate, got {named}")


def too_large(limit: int) -> TransportError:
    """The refusal of a body with more bytes than the limit."""
    return TransportError(413, f"the body has more than {limit} bytes", Connection="close")


def inflated_body(exchange: Exchange, coding: bytes, limit: int | None) -> bytes:
    """A body that was compressed. Raises `TransportError`, before it inflates beyond the limit."""
    most = sys.maxsize if limit is None else limit
    try:
        return inflated(exchange.body, coding, most, exchange.hold)
    except TooLargeError as error:
        raise too_large(most) from error
    except zlib.error as error:
        name = coding.decode()
        message = f"expected a body that is compressed with {name}, got another: {error}"
        raise TransportError(400, message) from error
