"""Responses as HTTP/1 writes them (RFC 9112, section 6)."""

import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from prepackaged.server.transport.exchange import Response

WITHOUT_BODY = {204, 205, 304}
WITHOUT_LENGTH = {204, 304}  # a length here would be that of another response (RFC 9110, 8.6)
CLOSE = b"connection: close\r\n"


def encoded(response: Response, *, keep_alive: bool, is_head: bool, allows_origins: bool) -> bytes:
    """The bytes of a response; that to HEAD has no body, but its length.

    With `allows_origins` browsers let pages of any origin read it.
    """
    status, body = response.status, response.body
    start = b"%bdate: %b\r\n" % (status_line(status, allows_origins), date(int(time.time())))
    if status in WITHOUT_BODY:
        fields, body = b"", b""
    else:
        fields = content_type(response.content_type)
    if response.headers:
        fields += b"".join(_lines(response.headers))
    if not keep_alive:
        fields += CLOSE
    if status not in WITHOUT_LENGTH:
        fields += b"content-length: %d\r\n" % len(body)
    return b"%b%b\r\n%b" % (start, fields, b"" if is_head else body)


@lru_cache(64)
def status_line(status: int, allows_origins: bool) -> bytes:  # noqa: FBT001  by place, for speed
    """The status line, and the header that lets browsers of any origin read the response."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    origins = "access-control-allow-origin: *\r\n" if allows_origins else ""
    return f"HTTP/1.1 {status} {phrase}\r\n{origins}".encode()


@lru_cache(64)
def content_type(text: str) -> bytes:
    """The header line of a content type."""
    return f"content-type: {text}\r\n".encode()


@lru_cache(1)
def date(second: int) -> bytes:
    """The time as HTTP writes it (RFC 9110, 5.6.7)."""
    return formatdate(second, usegmt=True).encode()


def _lines(headers: Mapping[str, str]) -> Iterator[bytes]:
    for name, value in headers.items():
        if name != "Connection":  # which `keep_alive` decides
            yield f"{name.lower()}: {value}\r\n".encode()
