"""The ASGI application: every route that is not on the short way."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prepackaged.server.telemetry.context import CLIENT_WENT_AWAY, Observer, RequestContext

WITHOUT_BODY = {204, 205, 304}
WITHOUT_LENGTH = {204, 304}  # a length here would be that of another answer (RFC 9110, 8.6)
CORS = (b"access-control-allow-origin", b"*")
CORS_METHODS = (b"access-control-allow-methods", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")


@dataclass(slots=True, eq=False)
class HttpRequest(RequestContext):
    """A request over HTTP; routes get whole ones."""

    query: bytes = b""
    body: bytes = b""
    is_multipart: bool = False  # known where nobody reads the headers again

    def header(self, name: bytes) -> bytes:
        """The last header of this name, which is in lower case; empty where there is none."""
        return dict(self.headers).get(name, b"")


@dataclass(frozen=True)
class HttpResponse:
    """An answer, with more headers where it has them."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpError(Exception):
    """The request is refused before any route sees it."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def too_large(limit: int) -> HttpError:
    """The refusal of a body of more bytes than the limit."""
    return HttpError(413, f"the body has more than {limit} bytes", Connection="close")


def too_many(limit: int) -> HttpError:
    """The refusal of a connection more than the limit."""
    message = f"there are {limit} connections, which is all that may be"
    return HttpError(503, message, **{"Retry-After": "1"})


class NotWholeError(Exception):
    """The rest of the request will not come; the connection has seen to the client."""


Route = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Application:
    """Finds the route of a request and answers what it answers.

    `routes` are by path and method; `failed` makes the answer to an exception.
    """

    def __init__(
        self,
        routes: Mapping[str, Mapping[str, Route]],
        failed: Callable[[BaseException], HttpResponse],
        *,
        max_body: int,
        observe: Observer | None,
    ) -> None:
        self._routes = routes
        self._failed = failed
        self._max_body = max_body
        self._observe = observe

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        path = scope["raw_path"].decode("latin-1")
        request = HttpRequest(scope["method"], path, scope["headers"], query=scope["query_string"])
        try:
            response = await self._answer(request, scope["path"], receive)
        except NotWholeError:
            return
        except asyncio.CancelledError:
            self._note(request, CLIENT_WENT_AWAY, 0)
            return
        except BaseException as error:  # SystemExit of the model's too
            response = self._failed(error)
        has_body = response.status not in WITHOUT_BODY
        self._note(request, response.status, len(response.body) if has_body else 0)
        with contextlib.suppress(asyncio.CancelledError):  # the client left before the answer
            await _send(send, response, has_body=has_body, is_head=request.method == "HEAD")

    def _note(self, request: HttpRequest, status: int, size: int) -> None:
        if self._observe:
            self._observe(request, status, size)

    async def _answer(self, request: HttpRequest, path: str, receive: Any) -> HttpResponse:
        methods = self._routes.get(path)
        if methods is None:
            raise HttpError(404, f"there is no {path} here")
        if request.method == "OPTIONS":
            preflight = _allow(methods, request.header(b"access-control-request-headers"))
            return HttpResponse(b"", content_type="text/html; charset=utf-8", headers=preflight)
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = ", ".join(sorted(methods))
            message = f"{path} takes {allowed}, not {request.method}"
            raise HttpError(405, message, Allow=allowed)
        request.body = await self._read(receive)
        return await route(request)

    async def _read(self, receive: Any) -> bytes:
        parts, size, has_more = [], 0, True
        while has_more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise NotWholeError
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                raise too_large(self._max_body)
            has_more = event.get("more_body", False)
        return b"".join(parts)


def _allow(methods: Mapping[str, Route], asked: bytes) -> dict[str, str]:
    """What may be sent; a browser that asks before it sends JSON is allowed its headers."""
    implied = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    allowed = {"Allow": ", ".join(sorted({*methods, *implied}))}
    if asked:
        allowed["Access-Control-Allow-Headers"] = asked.decode("latin-1")
    return allowed


async def _send(send: Any, response: HttpResponse, *, has_body: bool, is_head: bool) -> None:
    body = response.body if has_body else b""
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
    headers += CORS, CORS_METHODS
    if has_body:
        headers.append((b"content-type", response.content_type.encode()))
    if response.status not in WITHOUT_LENGTH:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else body})
