"""Read the messages of gRPC calls."""

from typing import Any

from prepackaged.server.protocols.protobuf_reading import read_message, read_names
from prepackaged.server.protocols.v2.descriptors import CLASSES
from prepackaged.server.transport.exchange import Exchange

INFER = "ModelInfer"


def infer_message_of(exchange: Exchange) -> Any:
    """The message of a ModelInfer call. Raises `ClientError` or `TransportError`."""
    return read_message(CLASSES[f"{INFER}Request"], exchange.body)


def message_of(exchange: Exchange, name: str) -> Any:
    """The message of another call, which must be short. Raises as `infer_message_of` does."""
    return read_names(CLASSES[f"{name}Request"], exchange.body)
