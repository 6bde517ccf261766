"""The Open Inference Protocol, version 2, as a `WireProtocol`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from prepackaged.errors import NotReadyError
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.errors import error_failure, grpc_failure
from prepackaged.server.protocols.json_writing import dump
from prepackaged.server.protocols.not_ready import Hangs, never, unless_hanging
from prepackaged.server.protocols.v2 import grpc, rest
from prepackaged.server.protocols.v2.metadata import model_metadata, server_metadata
from prepackaged.server.protocols.v2.openapi import paths, repository_paths
from prepackaged.server.protocols.v2.repository import Change, Repository
from prepackaged.server.protocols.v2.served import Name, ServedModel
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.routing import Handler, WireProtocol, asynchronous
from prepackaged.signature import declared_signature

PREFIX = "/v2"
MODELS = ("/v2/models/", "/v2/repository/models/")
FORBIDDEN, NOT_FOUND = 403, 404


def v2(
    predictor: Predictor,
    name: Name,
    *,
    is_ending: Callable[[], bool] = lambda: False,
    change: Change | None = None,
    allows_origins: bool = True,
) -> WireProtocol:
    """The protocol for a loaded model under this name; `change` loads and unloads it."""
    repository = Repository(name, change)
    served = ServedModel(predictor, name, is_ending)
    metadata = model_metadata(predictor.model, name)
    described = metadata, server_metadata(changes_model=change is not None)
    signature = declared_signature(predictor.model)
    return WireProtocol(
        prefix=PREFIX,
        http_failure=partial(_http_failure, name),
        grpc_failure=grpc_failure,
        routes=rest.Rest(served, *described).routes() | repository.routes(),
        methods=grpc.Grpc(served, *described).methods() | repository.methods(),
        allows_origins=allows_origins,
        counted_as=_counted_as(name),
        openapi=paths(name.model, metadata, signature)
        | (repository_paths(name.model) if change else {}),
    )


def not_ready(
    name: Name, why: str, change: Change | None = None, hangs: Hangs = never
) -> WireProtocol:
    """The protocol while the model is not loaded: live, otherwise 503 and UNAVAILABLE.

    `hangs` returns whether a call to the unloaded model hangs.
    """
    repository = Repository(name, change)
    about = server_metadata(changes_model=change is not None)

    def http_refusal(exchange: Exchange, error: BaseException) -> Response:
        """Replace the transport's errors other than 403 by 503; a failed load keeps its error."""
        is_late = isinstance(error, TransportError) and error.status != FORBIDDEN
        return error_failure(exchange, NotReadyError(why) if is_late else error)

    return WireProtocol(
        prefix=PREFIX,
        http_failure=http_refusal,
        grpc_failure=grpc_failure,
        routes=_early_routes(name, about, hangs) | repository.routes(),
        methods=grpc.early_methods(
            lambda exchange: exchange.fail(NotReadyError(why)), name, about, hangs
        )
        | repository.methods(),
        counted_as=_counted_as(name),
    )


def _counted_as(name: Name) -> dict[str, str]:
    return {**rest.counted_as(name), **grpc.COUNTED_AS}


def _early_routes(
    name: Name, about: dict[str, Any], hangs: Hangs
) -> dict[str, Mapping[str, Handler]]:
    async def index(exchange: Exchange) -> Response:
        return rest.index_of(name, exchange, is_ready=False)

    routes: dict[str, Mapping[str, Handler]] = {
        "/v2": {"GET": rest.answer(about)},
        "/v2/": {"GET": rest.answer(about)},
        "/v2/repository/index": {"POST": asynchronous(index)},
        "/v2/health/live": {"GET": unless_hanging(rest.live, hangs)},
        "/v2/health/ready": {"GET": _unavailable({"ready": False})},
    }
    for path in rest.model_paths(name):
        refused = _unavailable({"name": name.model, "ready": False})
        routes[f"{path}/ready"] = {"GET": refused}
    return routes


def _unavailable(body: Any) -> Handler:
    headers = {"Retry-After": str(NotReadyError.retry_after)}
    return lambda exchange: exchange.respond(Response(dump(body), 503, headers=headers))


def _http_failure(name: Name, exchange: Exchange, error: BaseException) -> Response:
    """The response to an error; a 404 says whether the path names another model or version."""
    if isinstance(error, TransportError) and error.status == NOT_FOUND:
        try:
            _check_path(name, unquote(exchange.path))
        except TransportError as refusal:
            error = refusal
    return error_failure(exchange, error)


def _check_path(name: Name, path: str) -> None:
    """Raise `TransportError` 404 if the path names another model or version."""
    for prefix in MODELS:
        if path.startswith(prefix):
            asked = path.removeprefix(prefix)
            is_ours = f"{asked}/".startswith(f"{name.model}/")
            model = name.model if is_ours else asked.partition("/")[0]
            _, _, version = asked.removeprefix(model).partition("/versions/")
            name.check(model, version.partition("/")[0])
