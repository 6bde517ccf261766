"""Exceptions of the model's code, as errors for the client."""

import sys
from typing import Any

from prepackaged.errors import ClientError, ModelError

STATUSES = range(400, 600)
INSTALLED = ("site-packages", "dist-packages")


def as_model_error(error: BaseException) -> ModelError:
    """The error for a client, with the exception's text or else its type as message.

    A class in the model's own code may have the attributes `message` and `status_code`, an HTTP
    status from 400 to 599, as Seldon's own exceptions have. Those of installed packages stay 500:
    the status that another service gave to the model is not the client's.
    """
    message, status = _attributes(error) if _is_own(type(error)) else (None, None)
    if not (isinstance(message, str) and message):
        message = _text_of(error) or type(error).__name__
    failed = ModelError(message)
    if isinstance(status, int) and status in STATUSES:
        failed.status_code = status
        failed.reason = ClientError.reason if status < 500 else ModelError.reason
    return failed


def _is_own(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is not None and not any(part in file for part in INSTALLED)


def _attributes(error: BaseException) -> tuple[Any, Any]:
    try:
        return getattr(error, "message", None), getattr(error, "status_code", None)
    except Exception:  # a property that fails
        return None, None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception that cannot even say what it is
        return ""
