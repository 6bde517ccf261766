"""Seldon's v1 protocol as a `WireProtocol`."""

from functools import partial
from typing import Any

from prepackaged.errors import NotReadyError
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.not_ready import Hangs, never, refusal, unless_hanging
from prepackaged.server.protocols.seldon import grpc, rest
from prepackaged.server.protocols.seldon.errors import http_failure
from prepackaged.server.protocols.seldon.flask_compat import FlaskCompat
from prepackaged.server.protocols.seldon.methods import Methods, Unit
from prepackaged.server.protocols.seldon.openapi import paths
from prepackaged.server.transport.exchange import Exchange, Response
from prepackaged.server.transport.routing import WireProtocol
from prepackaged.signature import declared_signature

COUNTED_AS = {**rest.COUNTED_AS, **grpc.COUNTED_AS}


def seldon(
    predictor: Predictor,
    metadata: dict[str, Any] | None,
    unit: Unit,
    *,
    flask: FlaskCompat | None = None,
    passes_payload: bool = False,
    allows_origins: bool = True,
) -> WireProtocol:
    """The protocol for a loaded model."""
    methods = Methods(predictor.model, predictor.hooks, predictor.metrics, unit)
    over_rest = rest.Rest(predictor, methods, unit, metadata, passes_payload=passes_payload)
    return WireProtocol(
        prefix="",
        http_failure=flask.failure if flask else http_failure,
        grpc_failure=grpc_failure,
        routes=over_rest.routes(),
        methods=grpc.Grpc(predictor, methods, unit, metadata).methods(),
        allows_origins=allows_origins,
        counted_as=COUNTED_AS,
        openapi=paths(declared_signature(predictor.model)),
    )


def not_ready(why: str, hangs: Hangs = never) -> WireProtocol:
    """The protocol while there is no model: alive, otherwise 503 and UNAVAILABLE.

    `hangs` returns whether a call to the unloaded model hangs.
    """

    def http_refusal(exchange: Exchange, error: BaseException) -> Response:
        return http_failure(exchange, refusal(error, why))

    def grpc_refusal(exchange: Exchange, error: BaseException) -> Response:  # noqa: ARG001
        return grpc_failure(exchange, NotReadyError(why))

    return WireProtocol(
        prefix="",
        http_failure=http_refusal,
        grpc_failure=grpc_refusal,
        routes={"/health/ping": {"GET": unless_hanging(rest.ping, hangs)}},
        methods=dict.fromkeys(grpc.ALL_METHODS, partial(_refuse, why)),
        counted_as=COUNTED_AS,
    )


def _refuse(why: str, exchange: Exchange) -> None:
    exchange.fail(NotReadyError(why))
