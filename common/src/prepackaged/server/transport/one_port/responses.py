"""REST responses as HTTP/2 header blocks (RFC 9113, 8.3.2)."""

import time
from functools import lru_cache

from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.http1.responses import WITHOUT_BODY, WITHOUT_LENGTH, date
from prepackaged.server.transport.http2.fields import CONNECTION_SPECIFIC
from prepackaged.server.transport.http2.hpack import block_of
from prepackaged.server.transport.request_ids import ids_of

CONTINUE = block_of((":status", "100"))


def header_block(response: Response, exchange: Exchange, *, allows_origins: bool) -> bytes:
    """The header block of a response; `allows_origins` adds the CORS header."""
    status = response.status
    content_type = "" if status in WITHOUT_BODY else response.content_type
    block = _start(status, content_type, allows_origins) + _date(int(time.time()))
    if status not in WITHOUT_LENGTH:
        block += _length(0 if status in WITHOUT_BODY else len(response.body))
    others = [(name.lower(), value) for name, value in (response.headers or {}).items()]
    kept = [each for each in others if each[0].encode() not in CONNECTION_SPECIFIC]
    ids = ids_of(exchange.headers)
    return block + block_of(*kept, *ids) if kept or ids else block


@lru_cache(64)
def _start(status: int, content_type: str, allows_origins: bool) -> bytes:  # noqa: FBT001  by place, for speed
    fields = [(":status", str(status))]
    if allows_origins:
        fields.append(("access-control-allow-origin", "*"))
    if content_type:
        fields.append(("content-type", content_type))
    return block_of(*fields)


@lru_cache(1)
def _date(second: int) -> bytes:
    return block_of(("date", date(second).decode()))


@lru_cache(1024)
def _length(size: int) -> bytes:
    return block_of(("content-length", str(size)))
