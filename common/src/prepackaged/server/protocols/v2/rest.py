"""The protocol's REST routes."""

import gzip
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import expected, read_json
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.v2 import json_requests, json_responses, raw_requests
from prepackaged.server.protocols.v2.metadata import (
    model_config,
    repository_index,
)
from prepackaged.server.protocols.v2.outputs import Output
from prepackaged.server.protocols.v2.requests import (
    InferRequest,
    Message,
    memory_of_elements,
    read_flag,
)
from prepackaged.server.protocols.v2.served import Name, ServedModel
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Handler, asynchronous

JSON_SIZE = b"inference-header-content-length"
JSON_TYPE = b"application/json"
BINARY_TYPE = "application/octet-stream"
MOST_BATCH_ROWS = 8192  # the largest batch in the configuration for perf_analyzer
COMPRESSED_FROM = 4096  # the size of a response in bytes from which compression is worth its time
COMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": partial(gzip.compress, compresslevel=1, mtime=0),
    b"deflate": partial(zlib.compress, level=1),
}

Routes = dict[str, dict[str, Handler]]


class Rest:
    """The handlers of the routes of one model; `about` describes the server."""

    def __init__(
        self, served: ServedModel, metadata: dict[str, Any], about: dict[str, Any]
    ) -> None:
        self._served = served
        self._metadata = metadata
        self._about = about
        self._head = json_responses.head_of(served.name.model, served.name.version)

    def routes(self) -> Routes:
        """All routes, by path and method; the names of model and version are not escaped."""
        about = answer(self._about)
        table: Routes = {
            "/v2": {"GET": about},
            "/v2/": {"GET": about},
            "/v2/health/live": {"GET": self.live},
            "/v2/health/ready": {"GET": asynchronous(self.ready)},
            "/v2/models": {"GET": answer({"models": [self._served.name.model]})},
            "/v2/repository/index": {"POST": asynchronous(self.index)},
        }
        for path in model_paths(self._served.name):
            table |= {
                path: {"GET": answer(self._metadata)},
                f"{path}/ready": {"GET": asynchronous(self.model_ready)},
                f"{path}/config": {"GET": answer(model_config(self._metadata, MOST_BATCH_ROWS))},
                f"{path}/infer": {"POST": self.infer},
            }
        return table

    def live(self, exchange: Exchange) -> None:
        """Respond that the server is live. Raises `HangingError` if the model hangs."""
        self._served.check_live()
        live(exchange)

    async def ready(self, exchange: Exchange) -> Response:
        """Respond whether the server is ready, which means that the model is."""
        is_ready = await self._served.is_ready(exchange)
        return Response(dump({"ready": is_ready}), 200 if is_ready else 503)

    async def model_ready(self, exchange: Exchange) -> Response:
        """Respond whether the model is ready."""
        is_ready = await self._served.is_ready(exchange)
        body = {"name": self._served.name.model, "ready": is_ready}
        return Response(dump(body), 200 if is_ready else 503)

    async def index(self, exchange: Exchange) -> Response:
        """Respond with the models or, for `{"ready": true}`, with those that are ready."""
        is_ready = await self._served.is_ready(exchange)
        return index_of(self._served.name, exchange, is_ready=is_ready)

    def infer(self, exchange: Exchange) -> None:
        """Queue a prediction. Another thread reads large messages, unless reading only copies."""
        queue = partial(self._served.infer, exchange, partial(self._encoded, exchange))
        if len(exchange.body) <= LARGE:
            queue(self._read(exchange))
        elif not _has_short_json(exchange):
            exchange.prepare(partial(self._read, exchange), queue)
        elif self._served.inputs.only_copies((message := self._message(exchange)).inputs):
            queue(self._served.request(message))
        else:
            exchange.prepare(partial(self._served.request, message), queue)

    def _read(self, exchange: Exchange) -> InferRequest:
        return self._served.request(self._message(exchange))

    def _message(self, exchange: Exchange) -> Message:
        body, size = exchange.body, _json_size(exchange)
        if len(body) > LARGE:
            exchange.hold(json_requests.memory_of_body(body, size))
        if size == 0:
            is_binary = JSON_TYPE not in exchange.header(b"accept")
            message = raw_requests.read(body, self._metadata["inputs"], is_binary=is_binary)
        else:
            message = json_requests.read(body, size)
            if len(body) > LARGE:
                exchange.hold(memory_of_elements(message.inputs))
        return message

    def _encoded(
        self,
        exchange: Exchange,
        request: InferRequest,
        outputs: list[Output],
        tags: dict[str, Any],
    ) -> Response:
        body, size = json_responses.encode(self._head, request, outputs, tags)
        response = Response(body)
        if size is not None:
            response.content_type = BINARY_TYPE
            response.headers = {
                "Inference-Header-Content-Length": str(size),
                "Access-Control-Expose-Headers": "Inference-Header-Content-Length",
            }
        return _compressed(response, exchange) if len(body) > COMPRESSED_FROM else response


def _has_short_json(exchange: Exchange) -> bool:
    """Whether a large body has little JSON, followed by binary tensors."""
    return 0 < (_json_size(exchange) or 0) <= LARGE


def _json_size(exchange: Exchange) -> int | None:
    """The number of bytes of JSON in the body; None if the client does not say."""
    for name, value in exchange.headers:
        if name == JSON_SIZE:
            if not value.isdigit() or len(value) > 18:
                got = value[:40].decode("latin-1")
                why = f"expected Inference-Header-Content-Length as a number, got {got!r}"
                raise ClientError(why)
            return int(value)
    return None


def _compressed(response: Response, exchange: Exchange) -> Response:
    """The response, compressed as tritonclient's `response_compression_algorithm` requests.

    Only a single coding in `Accept-Encoding` counts. Browsers and aiohttp send `gzip, deflate, br`
    by default, and tritonclient's aio client cannot read all of these.
    """
    coding = exchange.header(b"accept-encoding").lower()
    if coding in COMPRESS:
        response.body = COMPRESS[coding](response.body)
        response.headers = {**(response.headers or {}), "Content-Encoding": coding.decode()}
    return response


def model_paths(name: Name) -> list[str]:
    """The paths of a model, without and with its version."""
    path = f"/v2/models/{name.model}"
    return [path, f"{path}/versions/{name.version}"]


def index_of(name: Name, exchange: Exchange, *, is_ready: bool) -> Response:
    """The response with the models, or only those that are ready if the body requests this."""
    asked = read_json(exchange.body) if exchange.body.strip() else {}
    if not isinstance(asked, dict):
        raise expected("no body, or an object with ready as true or false", asked)
    wants_ready = read_flag(asked, "ready", "body")
    listed = repository_index(name, is_ready=is_ready)
    return Response(dump(listed if is_ready or not wants_ready else []))


def live(exchange: Exchange) -> None:
    """Respond that the process is live."""
    exchange.respond(Response(b'{"live":true}'))


def answer(value: Any) -> Handler:
    """The handler of a route whose response is always this value."""
    body = dump(value)
    return lambda exchange: exchange.respond(Response(body))


def counted_as(name: Name) -> dict[str, str]:
    """The method name for metrics, by path, with and without escapes."""
    paths = [f"{path}/infer" for path in model_paths(name)]
    return dict.fromkeys([*paths, *map(quote, paths)], "infer")
