"""Reading the messages of gRPC calls."""

from typing import Any

from google.protobuf.message import DecodeError

from prepackaged.errors import ClientError
from prepackaged.server.protocols.v2.descriptors import CLASSES, PACKAGE
from prepackaged.server.transport.exchange import Exchange


def message_of(exchange: Exchange, name: str) -> Any:
    """The message of a call. Raises `ClientError`."""
    try:
        return CLASSES[f"{name}Request"].FromString(exchange.body)
    except DecodeError as error:
        raise ClientError(f"expected a {PACKAGE}.{name}Request: {error}") from error
