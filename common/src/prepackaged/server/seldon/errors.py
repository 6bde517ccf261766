"""Errors as Seldon's clients read them."""

import json

from seldon_core.flask_utils import SeldonMicroserviceException


def error_body(error: SeldonMicroserviceException) -> bytes:
    """The JSON body of an error: `{"status": {"code", "info", "reason", "status"}}`.

    Whatever a model has in its error's message is told, if need be as text.
    """
    text = json.dumps(error.to_dict(), default=str, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"
