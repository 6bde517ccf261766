"""The protocols of a server, and the routing of requests to their handlers."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.grpc.stream_calls import StreamHandler

LONGEST = 500  # characters of a path in an error
# A scheme and host in a target, which the server ignores (RFC 9112, 3.2.2)
SERVER = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)

#: Answers an exchange, immediately or later.
Handler = Callable[[Exchange], None]
#: Makes the response to an error, in a protocol's own form.
Failure = Callable[[Exchange, BaseException], Response]


@dataclass(frozen=True)
class WireProtocol:
    """A protocol, as the transports see it.

    `routes` are the REST handlers, by path and HTTP method. `methods` are the handlers of unary
    gRPC calls and `streams` those of streaming calls, by path; streaming calls are not observed,
    nor are unary calls if `is_observed` is false. Errors of these paths, and of all others that
    begin with `prefix`, have this protocol's form: `http_failure` over REST, `grpc_failure` over
    gRPC. If `allows_origins`, browsers allow pages of any origin to call the paths. `counted_as`
    maps paths to the method names of metrics; other paths are counted as `other`. `openapi` are
    OpenAPI's path items.
    """

    prefix: str
    http_failure: Failure
    grpc_failure: Failure
    routes: Mapping[str, Mapping[str, Handler]] = field(default_factory=dict)
    methods: Mapping[str, Handler] = field(default_factory=dict)
    streams: Mapping[str, StreamHandler] = field(default_factory=dict)
    is_observed: bool = True
    allows_origins: bool = False
    counted_as: Mapping[str, str] = field(default_factory=dict)
    openapi: Mapping[str, Any] = field(default_factory=dict)


def asynchronous(answer: Callable[[Exchange], Awaitable[Response]]) -> Handler:
    """The handler of a coroutine function that returns the response."""

    def handle(exchange: Exchange) -> None:
        exchange.answer_with(answer(exchange))

    return handle


class Target(NamedTuple):
    """The route of a request's target: path, query, handlers by method, and errors.

    `allows_origins` as for its protocol.
    """

    path: str
    query: bytes
    handlers: Mapping[str, Handler]
    failure: Failure
    allows_origins: bool = False


class Router:
    """The routes of several protocols; if two have the same path, the first protocol wins."""

    def __init__(self, protocols: Sequence[WireProtocol]) -> None:
        self.replace(protocols)

    def replace(self, protocols: Sequence[WireProtocol]) -> None:
        """Route new requests to these protocols from now on."""
        self._protocols = sorted(protocols, key=lambda each: len(each.prefix), reverse=True)
        self._owners = {path: each for each in reversed(protocols) for path in each.routes}
        self._targets = {path.encode(): self._target_of(path, b"") for path in self._owners}

    def find(self, target: bytes) -> Target:
        """The route of a request line's target; its handlers are empty if there is none."""
        known = self._targets.get(target)
        if known:
            return known
        if server := SERVER.match(target):
            rest = target[server.end() :]
            return self.find(rest if rest.startswith(b"/") else b"/" + rest)
        path, _, query = target.partition(b"?")
        return self._target_of(path.decode("latin-1"), query)

    def _target_of(self, path: str, query: bytes) -> Target:
        known = path if path in self._owners else unquote(path)
        owner = self._owners.get(known)
        protocol = owner or next(each for each in self._protocols if path.startswith(each.prefix))
        handlers = owner.routes[known] if owner else {}
        return Target(path, query, handlers, protocol.http_failure, protocol.allows_origins)


def handler_of(method: str, target: Target) -> Handler:
    """The handler of a request. Raises `TransportError` 404 or 405 if there is none."""
    handlers = target.handlers
    handler = handlers.get("GET" if method == "HEAD" else method)
    if handler:
        return handler
    if not handlers:
        raise TransportError(404, f"there is no {unquote(target.path[:LONGEST])} here")
    if method == "OPTIONS":
        return allow(handlers, allows_origins=target.allows_origins)
    allowed = ", ".join(sorted(handlers))
    why = f"expected {allowed} for {target.path[:LONGEST]}, got {method[:LONGEST]}"
    raise TransportError(405, why, Allow=allowed)


def allow(methods: Mapping[str, Handler], *, allows_origins: bool) -> Handler:
    """Answer OPTIONS with the methods of a path, also for a browser's CORS preflight."""
    implied = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    allowed = ", ".join(sorted({*methods, *implied}))

    def handle(exchange: Exchange) -> None:
        headers = {"Allow": allowed}
        if allows_origins:
            headers["Access-Control-Allow-Methods"] = allowed
            if asked := exchange.header(b"access-control-request-headers"):
                headers["Access-Control-Allow-Headers"] = asked.decode("latin-1")
        exchange.respond(Response(b"", content_type="text/html; charset=utf-8", headers=headers))

    return handle
