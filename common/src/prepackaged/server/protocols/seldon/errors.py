"""Errors as Seldon's clients read them."""

import json
from operator import index

from seldon_core.flask_utils import SeldonMicroserviceException

STATUSES = set(range(200, 600)) - {204, 205, 304}  # those whose answers have a body to tell in


def http_status_of(error: SeldonMicroserviceException) -> int:
    """The HTTP status that the error has; 500 where that is none, or could not be told with."""
    try:
        status = index(error.status_code)
    except TypeError:
        return 500
    return status if status in STATUSES else 500


def error_body(error: SeldonMicroserviceException) -> bytes:
    """The JSON body of an error: `{"status": {"code", "info", "reason", "status"}}`.

    Whatever a model has in its error's message is told, if need be as text.
    """
    text = json.dumps(error.to_dict(), default=str, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"
