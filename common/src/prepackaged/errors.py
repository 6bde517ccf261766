"""Errors by cause: the client, the model author or the deployment.

Errors of the first two kinds are `SeldonMicroserviceException`s, so seldon-core's microservice and
any compatible server return the same response: over REST, the body
`{"status": {"status": 1, "info": <message>, "code": -1, "reason": <reason>}}` with the
class's HTTP status; over gRPC, the message as the error's details.
"""

import logging
import sys
from collections.abc import Sequence
from types import TracebackType

from seldon_core.flask_utils import SeldonMicroserviceException

logger = logging.getLogger(__name__)


class RequestError(SeldonMicroserviceException):
    """An error that the client receives, with a status, a reason and a message.

    `retry_after` is the number of seconds after which a retry makes sense, None if it never does.
    """

    status_code = 500
    reason = "MICROSERVICE_INTERNAL_ERROR"
    retry_after: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=self.reason)
        self.args = (message,)  # upstream leaves these empty, and gRPC reports str(error)


class ClientError(RequestError):
    """The request is invalid: HTTP 400.

    The message says what the model expected and what it got, with row and column if possible.

    >>> ClientError("row 0, column 'area': expected a number, got 'large'").status_code
    400
    """

    status_code = 400
    reason = "MICROSERVICE_BAD_DATA"


class WrongNamesError(ClientError):
    """A request has other column names than the model.

    `missing` are the names that the request lacks; empty if it also has a name twice.
    """

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class ModelError(RequestError):
    """The request is valid, but the model's own code failed: HTTP 500.

    >>> ModelError("the vocabulary has no entry for 'taipei'").status_code
    500
    """


class ResultError(ModelError):
    """A method of the model returned a result that the server cannot encode."""

    def __init__(self, what: str, method: str = "predict") -> None:
        super().__init__(f"{method} returned {what}")
        self.what = what


class NotReadyError(RequestError):
    """The model is not loaded yet: HTTP 503.

    >>> NotReadyError("the model is not loaded yet").retry_after
    1
    """

    status_code = 503
    reason = "MICROSERVICE_NOT_READY"
    retry_after = 1


class DeploymentError(Exception):
    r"""The deployment is wrong: the server exits with status 1 and this message as its last line.

    The message says what was expected, what was found and how to correct it. Line breaks become
    spaces, because platforms show the last line of the log to the person who deployed the model.

    >>> print(DeploymentError("the vocabulary is missing:\nput vocabulary.txt beside the model"))
    the vocabulary is missing: put vocabulary.txt beside the model
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def end_deployment_errors_in_one_line() -> None:
    """Let an uncaught `DeploymentError` end the process with its message and no traceback."""
    sys.excepthook = _excepthook


def _excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, DeploymentError):
        logger.critical("%s", error)
    else:
        sys.__excepthook__(kind, error, trace)


def describe(error: BaseException) -> str:
    r"""An exception as `Type: text`, with the first line of its text.

    >>> describe(ValueError("no such column\nTraceback: ..."))
    'ValueError: no such column'
    """
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
