"""The header fields that frame a request's body (RFC 9112, sections 3.2 and 6)."""

import re
import sys
import zlib
from collections.abc import Sequence

from prepackaged.server.transport.compression import CODINGS, TooLargeError, inflated
from prepackaged.server.transport.exchange import Exchange, TransportError
from prepackaged.server.transport.hosts import KNOWN_HOSTS, is_host

VERSIONS = ("1.1", "1.0")
# The header fields that framing reads.
READ = frozenset({b"content-length", b"host", b"expect", b"content-encoding", b"transfer-encoding"})
# RFC 9112, 3.2.2: a target that names the server, and its host
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
# Limits of a chunked body besides its data: sizes, extensions and trailers.
MOST_OVERHEAD = 2**16  # bytes
OVERHEAD_SHARE = 16  # more bytes for each byte of data
MOST_TRAILERS = 100  # fields

Fields = Sequence[tuple[bytes, bytes]]


class Framing:
    """The declared `length` of a body, 0 without one; its `coding`; and what is wrong with it.

    `expects_continue` is true if the client waits for "100 Continue" before it sends the body.
    `is_chunked` is true if the body is sent in chunks, which tell its length and may end with
    trailers.
    """

    __slots__ = ("coding", "error", "expects_continue", "is_chunked", "length")

    def __init__(self, target: bytes, fields: Fields, version: str) -> None:
        self.length, self.coding, self.expects_continue = 0, b"", False
        hosts, host, transfer = 0, b"", b""
        for name, value in fields:
            if name not in READ:
                continue
            if name == b"content-length":
                self.length = int(value)
            elif name == b"host":
                hosts, host = hosts + 1, value
            elif name == b"expect":  # RFC 9110, 10.1.1: ignored from HTTP/1.0 clients
                self.expects_continue = version == "1.1" and value.lower() == b"100-continue"
            elif name == b"transfer-encoding":
                transfer = value
            else:
                self.coding = with_coding(self.coding, value)
        self.is_chunked = bool(transfer)
        is_usual = hosts == 1 and host in KNOWN_HOSTS and not (transfer or self.coding)
        is_usual = is_usual and target.startswith(b"/")
        is_right = is_usual and version in VERSIONS  # for these, nothing more needs checking
        self.error = None if is_right else self._problem(target, hosts, host, version, transfer)

    def _problem(
        self, target: bytes, hosts: int, host: bytes, version: str, transfer: bytes
    ) -> TransportError | None:
        if version not in VERSIONS:
            return TransportError(400, f"expected HTTP/1.1 or 1.0, got HTTP/{version}")
        if hosts > 1 or (not hosts and version == "1.1"):  # RFC 9112, 3.2
            return TransportError(400, f"expected one Host header, got {hosts}")
        if not is_host(host):
            return TransportError(400, f"expected Host as a name and a port, got {shown(host)}")
        if not is_target(target):
            return TransportError(
                400, f"expected a path or a URL with a host and no user, got {shown(target)}"
            )
        if transfer and (error := transfer_error(transfer)):
            return error
        if self.coding and self.coding not in CODINGS:  # RFC 9110, 8.4
            return unknown_coding(self.coding)
        return None


def is_target(target: bytes) -> bool:
    """Whether the host in a target is valid: RFC 9110, 4.2, forbids users and empty hosts."""
    found = ABSOLUTE.match(target)
    return found is None or (is_host(found[1]) and found[1].partition(b":")[0] != b"")


def with_coding(codings: bytes, more: bytes) -> bytes:
    """The value of several Content-Encoding fields (RFC 9110, 5.3 and 8.4), without `identity`."""
    listed = (codings, *(each.strip() for each in more.lower().split(b",")))
    return b", ".join(each for each in listed if each not in (b"", b"identity"))


def transfer_error(value: bytes) -> TransportError | None:
    """The error for a Transfer-Encoding other than only `chunked` (RFC 9112, 6.1 and 6.3)."""
    codings = [each.strip(b" \t") for each in value.lower().split(b",")]
    codings = list(filter(None, codings))
    if codings == [b"chunked"]:
        return None
    status = 501 if codings[-1:] == [b"chunked"] else 400
    return TransportError(
        status, f"expected Transfer-Encoding: chunked and no other coding, got {shown(value)}"
    )


def without_upgrade(fields: Fields) -> bytes:
    """Header fields as a client sends them, but for its offer of another protocol."""
    return b"".join(b"%b: %b\r\n" % each for each in fields if each[0] != b"upgrade")


def shown(value: bytes) -> str:
    """A value as errors show it."""
    return value.decode("latin-1")[:80]


def check_chunks(received: int, data: int, trailers: int) -> None:
    """Raise `TransportError` for a body whose chunks contain little data (RFC 9112, 7.1).

    `received` is the number of its bytes so far, and `data` how many of them are data.
    """
    if received - data > MOST_OVERHEAD + OVERHEAD_SHARE * data:
        raise TransportError(400, "expected chunks of mostly data, got mostly sizes and extensions")
    if trailers > MOST_TRAILERS:
        raise TransportError(431, f"expected at most {MOST_TRAILERS} trailers, got more")


def unknown_coding(coding: bytes) -> TransportError:
    """The refusal of a body that is compressed in another way."""
    return TransportError(415, f"expected Content-Encoding gzip or deflate, got {shown(coding)}")


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
