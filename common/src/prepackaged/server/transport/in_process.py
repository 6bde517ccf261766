"""Requests from within the server's own process, which no port carries."""

import asyncio
from collections.abc import Sequence

from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import Router, WireProtocol, handler_of

HEADERS = ((b"content-type", b"application/json"),)


class _Kept:
    """A carrier that keeps the response."""

    succeeded = cancelled = ""

    def __init__(self) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def send(self, exchange: Exchange, response: Response) -> None:  # noqa: ARG002  a carrier's
        """Keep it."""
        self.response.set_result(response)


async def ask(
    protocols: Sequence[WireProtocol], method: str, path: str, body: bytes = b""
) -> Response:
    """Answer a JSON request over REST with these protocols, without telemetry."""
    target, carrier = Router(protocols).find(path.encode()), _Kept()
    exchange = Exchange(
        method,
        target.path,
        HEADERS,
        carrier=carrier,
        failure=target.failure,
        observe=lambda *_: None,
    )
    exchange.query, exchange.body = target.query, body
    try:
        handler_of(method, target)(exchange)
    except Exception as error:
        exchange.fail(error)
    return await carrier.response
