"""What an error says, for protocols whose errors are a status and a text."""

from collections.abc import Mapping
from typing import NamedTuple

from prepackaged.server.inference.predictor import error_for_client
from prepackaged.server.protocols.seldon.errors import bounded, http_status_of
from prepackaged.server.transport.exchange import TransportError


class ErrorText(NamedTuple):
    """The HTTP status of an error, its text, bounded in length, and the headers it needs."""

    status: int
    text: str
    headers: Mapping[str, str]


def error_text(error: BaseException) -> ErrorText:
    """What to tell a client of an error: the transport's, the client's or the model's."""
    if isinstance(error, TransportError):
        return ErrorText(error.status, bounded(str(error)), error.headers)
    shown = error_for_client(error)
    seconds = getattr(shown, "retry_after", None)
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return ErrorText(http_status_of(shown), bounded(str(shown.message)), headers)
