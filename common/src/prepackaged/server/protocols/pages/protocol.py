"""The routes of the pages: `/`, `/ui`, `/docs` and `/openapi.json`."""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.openapi import document
from prepackaged.server.protocols.pages import docs
from prepackaged.server.protocols.pages.facts import page_facts
from prepackaged.server.protocols.pages.page import page, page_as_file, policy
from prepackaged.server.transport.background import BACKGROUND
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Failure, Handler, WireProtocol, asynchronous

HTML = "text/html; charset=utf-8"
ALIVE = b'{"status":"alive"}'  # the response to `/` that KServe's clients expect


class Pages:
    """The pages of one model. `paths` are OpenAPI's path items of all protocols."""

    def __init__(
        self,
        predictor: Predictor,
        metadata: Mapping[str, Any],
        image: str,
        path: str,
        paths: Mapping[str, Any],
    ) -> None:
        self._facts = partial(page_facts, predictor.model, metadata, image, path, paths)
        self._made: dict[str, Any] | None = None
        versions = metadata.get("versions") or [""]
        described = document(str(metadata.get("name", "")), str(versions[0]), paths)
        self._document = json.dumps(described).encode()

    def protocol(self, failure: Failure) -> WireProtocol:
        """The protocol with these routes; errors have the form of `failure`."""
        routes: Mapping[str, Mapping[str, Handler]] = {
            "/": {"GET": self.root},
            "/ui": {"GET": asynchronous(partial(self.page, "/ui"))},
            "/openapi.json": {"GET": self.openapi},
            **docs.routes(),
        }
        return WireProtocol(
            prefix="/ui",
            http_failure=failure,
            grpc_failure=failure,
            routes=routes,
            allows_origins=False,
        )

    def root(self, exchange: Exchange) -> None:
        """The page for browsers, `{"status":"alive"}` for other clients."""
        if b"text/html" in exchange.header(b"accept"):
            exchange.answer_with(self.page("/", exchange))
        else:
            exchange.respond(Response(ALIVE))

    async def page(self, route: str, exchange: Exchange) -> Response:  # noqa: ARG002  a handler
        """The page. Its facts are collected on first request, because the digest takes time."""
        if self._made is None:
            loop = asyncio.get_running_loop()
            self._made = await loop.run_in_executor(BACKGROUND, self._facts)
        headers = {
            "Content-Security-Policy": policy(),
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(page(self._made, route), content_type=HTML, headers=headers)

    def as_file(self) -> bytes:
        """The page as a file, which sends requests to the deployment at an address."""
        return page_as_file(self._facts())

    def openapi(self, exchange: Exchange) -> None:
        """The OpenAPI document."""
        exchange.respond(Response(self._document))
