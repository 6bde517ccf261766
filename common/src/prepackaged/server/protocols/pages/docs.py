"""`/docs`: the OpenAPI document in Swagger UI, to read and to try.

Swagger UI's files come from the package flask-swagger-ui, of which nothing else is used. The page
loads nothing from other servers, and its policy allows no other scripts.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from prepackaged.server.transport.background import BACKGROUND
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Handler, asynchronous

PACKAGE = "flask_swagger_ui"
SCRIPT, STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
PAGE = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # browsers revalidate their copy each time
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page: its content, also compressed, its content type and its ETag."""

    content: bytes
    compressed: bytes
    content_type: str

    @property
    def tag(self) -> str:
        """The ETag; weak, because it is the same for both forms (RFC 9110, 8.8.1)."""
        return f'W/"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    def answer(self, exchange: Exchange) -> Response:
        """The response to a request for this file."""
        headers = {**HEADERS, "ETag": self.tag}
        if self.tag.encode() in exchange.header(b"if-none-match"):
            return Response(b"", 304, self.content_type, headers)
        if b"gzip" in exchange.header(b"accept-encoding"):
            headers["Content-Encoding"] = "gzip"
            return Response(self.compressed, 200, self.content_type, headers)
        return Response(self.content, 200, self.content_type, headers)


def routes() -> Mapping[str, Mapping[str, Handler]]:
    """The routes of the page; none if Swagger UI's files are not installed."""
    directory = swagger_ui()
    if directory is None:
        return {}
    own = files(__package__)
    places = {
        "/docs": (Path(str(own / "docs.html")), PAGE),
        "/docs/start.js": (Path(str(own / "docs.js")), SCRIPT),
        "/docs/swagger-ui-bundle.js": (directory / "swagger-ui-bundle.js", SCRIPT),
        "/docs/swagger-ui.css": (directory / "swagger-ui.css", STYLE),
    }
    return {path: {"GET": asynchronous(partial(_send, *place))} for path, place in places.items()}


def swagger_ui() -> Path | None:
    """The directory of Swagger UI's files, found without importing the package and Flask."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "dist" if places else None


async def _send(file: Path, content_type: str, exchange: Exchange) -> Response:
    loop = asyncio.get_running_loop()
    asset = await loop.run_in_executor(BACKGROUND, read_asset, file, content_type)
    return asset.answer(exchange)


@cache
def read_asset(file: Path, content_type: str) -> Asset:
    """Read a file and compress it; cached after the first request."""
    content = file.read_bytes()
    return Asset(content, gzip.compress(content, mtime=0), content_type)
