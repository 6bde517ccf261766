"""The ASGI application: every route that is not on the short way."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CLIENT_WENT_AWAY = 499  # nginx's number, for there is no official one
FINAL_STATUSES = {*range(200, 600)} - {204, 205, 304}  # those that may have a body
CORS = (b"access-control-allow-origin", b"*")
CORS_METHODS = (b"access-control-allow-methods", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")


@dataclass(frozen=True)
class HttpRequest:
    """A whole request; header names are in lower case."""

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


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
        failed: Callable[[Exception], HttpResponse],
        *,
        max_body: int,
        observe: Callable[..., None] | None,
    ) -> None:
        self._routes = routes
        self._failed = failed
        self._max_body = max_body
        self._observe = observe

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        try:
            response = await self._answer(scope, receive)
        except NotWholeError:
            return
        except asyncio.CancelledError:
            self._note(scope, CLIENT_WENT_AWAY, 0, start)
            return
        except Exception as error:
            response = self._failed(error)
        status = response.status if response.status in FINAL_STATUSES else 500
        self._note(scope, status, len(response.body), start)
        with contextlib.suppress(asyncio.CancelledError):  # the client left before the answer
            await _send(send, response, status, has_body=scope["method"] != "HEAD")

    def _note(self, scope: Any, status: int, size: int, start: float) -> None:
        if self._observe:
            path = scope["raw_path"].decode("latin-1")  # with its escapes: it goes into a log
            self._observe(scope["method"], path, status, size, time.perf_counter() - start)

    async def _answer(self, scope: Any, receive: Any) -> HttpResponse:
        methods = self._routes.get(scope["path"])
        if methods is None:
            raise HttpError(404, f"there is no {scope['path']} here")
        if scope["method"] == "OPTIONS":
            preflight = _allow(methods, dict(scope["headers"]))
            return HttpResponse(b"", content_type="text/html; charset=utf-8", headers=preflight)
        route = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if route is None:
            allowed = ", ".join(sorted(methods))
            message = f"{scope['path']} takes {allowed}, not {scope['method']}"
            raise HttpError(405, message, Allow=allowed)
        body = await self._read(receive)
        headers = dict(scope["headers"])
        return await route(
            HttpRequest(scope["method"], scope["path"], scope["query_string"], headers, body)
        )

    async def _read(self, receive: Any) -> bytes:
        parts, size, has_more = [], 0, True
        while has_more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise NotWholeError
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                message = f"the body has more than {self._max_body} bytes"
                raise HttpError(413, message, Connection="close")
            has_more = event.get("more_body", False)
        return b"".join(parts)


def _allow(methods: Mapping[str, Route], headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """What may be sent; a browser that asks before it sends JSON is allowed its headers."""
    implied = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    allowed = {"Allow": ", ".join(sorted({*methods, *implied}))}
    if asked := headers.get(b"access-control-request-headers"):
        allowed["Access-Control-Allow-Headers"] = asked.decode("latin-1")
    return allowed


async def _send(send: Any, response: HttpResponse, status: int, *, has_body: bool) -> None:
    extra = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        CORS,
        CORS_METHODS,
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body if has_body else b""})
