"""Responses as HTTP/1 writes them (RFC 9112, section 6)."""

import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.request_ids import ids_of

WITHOUT_BODY = {204, 205, 304}
WITHOUT_LENGTH = {204, 304}  # a length here would be that of another response (RFC 9110, 8.6)
CLOSE = b"connection: close\r\n"


def encoded(
    response: Response, exchange: Exchange, *, keep_alive: bool, allows_origins: bool
) -> bytes:
    """The bytes of a response; the response to HEAD has the body's length, but no body.

    If `allows_origins`, browsers let pages of any origin read it.
    """
    status, body = response.status, response.body
    start = _start(int(time.time()), status, response.content_type, allows_origins)
    fields = b"".join(_lines(response.headers)) if response.headers else b""
    if not keep_alive:
        fields += CLOSE
    if ids := ids_of(exchange.headers):
        fields += b"".join(b"%b: %b\r\n" % field for field in ids)
    if status in WITHOUT_BODY:
        body = b""
        if status in WITHOUT_LENGTH:
            return b"%b%b\r\n" % (start, fields)
    fields = b"%b%bcontent-length: %d\r\n\r\n" % (start, fields, len(body))
    return fields if exchange.method == "HEAD" else fields + body


@lru_cache(64)
def _start(second: int, status: int, content_type: str, allows_origins: bool) -> bytes:  # noqa: FBT001  by place, for speed
    """The status line and the fields that the responses of a second have in common."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}"]
    if allows_origins:
        lines.append("access-control-allow-origin: *")
    lines.append(f"date: {date(second).decode()}")
    if status not in WITHOUT_BODY:
        lines.append(f"content-type: {content_type}")
    return "".join(f"{line}\r\n" for line in lines).encode()


@lru_cache(1)
def date(second: int) -> bytes:
    """The time as HTTP writes it (RFC 9110, 5.6.7)."""
    return formatdate(second, usegmt=True).encode()


def _lines(headers: Mapping[str, str]) -> Iterator[bytes]:
    for name, value in headers.items():
        if name != "Connection":  # which `keep_alive` decides
            yield f"{name.lower()}: {value}\r\n".encode()
