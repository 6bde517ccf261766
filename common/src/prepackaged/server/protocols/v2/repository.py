"""Load and unload the model on request: the protocol's model repository extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import expected, read_json
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.v2.descriptors import CLASSES, SERVICE
from prepackaged.server.protocols.v2.messages import message_of
from prepackaged.server.protocols.v2.served import Name
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.routing import Handler, asynchronous

LOAD, UNLOAD = "load", "unload"
CALLS = {LOAD: "RepositoryModelLoad", UNLOAD: "RepositoryModelUnload"}
OFF = "loading a model by request is off: expected PREPACKAGED_REPOSITORY_API=true"

#: Loads (LOAD) or unloads (UNLOAD) the model; raises the error for the client.
Change = Callable[[str], Awaitable[None]]


class Repository:
    """The routes and calls that load and unload the model; without `change`, they are refused."""

    def __init__(self, name: Name, change: Change | None) -> None:
        self._name = name
        self._change = change

    def routes(self) -> dict[str, dict[str, Handler]]:
        """The REST routes, by path and method."""
        path = f"/v2/repository/models/{self._name.model}"
        return {f"{path}/{what}": {"POST": self._over_rest(what)} for what in CALLS}

    def methods(self) -> dict[str, Handler]:
        """The gRPC calls, by path."""
        return {f"/{SERVICE}/{call}": self._over_grpc(what) for what, call in CALLS.items()}

    def _over_rest(self, what: str) -> Handler:
        if self._change is None:
            return refuse
        return asynchronous(partial(self._changed, self._change, what))

    def _over_grpc(self, what: str) -> Handler:
        if self._change is None:
            return refuse
        called = partial(self._called, self._change, what)
        return lambda exchange: exchange.answer_with(called(exchange))

    async def _changed(self, change: Change, what: str, exchange: Exchange) -> Response:
        _check(exchange.body, what)
        await change(what)
        return Response(dump({"name": self._name.model, what: True}))  # as in KServe

    async def _called(self, change: Change, what: str, exchange: Exchange) -> Response:
        message = message_of(exchange, CALLS[what])
        # KServe has the model's name in the first field, Triton has the repository's name there.
        if self._name.model not in (message.repository_name, message.model_name):
            self._name.check(message.model_name or message.repository_name)
        await change(what)
        state = {"model_name": self._name.model, "isLoaded": what == LOAD}
        return Response(CLASSES[f"{CALLS[what]}Response"](**state).SerializeToString())


def refuse(exchange: Exchange) -> None:
    """Respond with 403 or, over gRPC, with PERMISSION_DENIED."""
    exchange.fail(TransportError(403, OFF))


def _check(body: bytes, what: str) -> None:
    """Raise `ClientError` for an invalid body, or for a load with parameters."""
    asked = read_json(body) if body.strip() else {}
    if not isinstance(asked, dict):
        raise expected("no body, or an object", asked)
    parameters: Any = asked.get("parameters") or {}
    if what == LOAD and parameters:
        raise ClientError(
            "expected no parameters: the model is loaded from its directory, as it is configured"
        )
