"""Whose mistake it was: the client's, the model author's or the deployment's.

The first two are `SeldonMicroserviceException`s, so they are answered the same under
seldon-core's microservice and under any other that keeps its contract: a body
`{"status": {"status": 1, "info": <message>, "code": -1, "reason": <reason>}}` with the
class's HTTP status, and over gRPC the message as the error's details.
"""

import logging
import sys
from types import TracebackType

from seldon_core.flask_utils import SeldonMicroserviceException

logger = logging.getLogger(__name__)


class RequestError(SeldonMicroserviceException):
    """An error that is answered with a status, a reason and a message.

    `retry_after` is in how many seconds the client may ask again, where that would help.
    """

    status_code = 500
    reason = "MICROSERVICE_INTERNAL_ERROR"
    retry_after: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=self.reason)
        self.args = (message,)  # upstream leaves these empty, and gRPC reports str(error)


class ClientError(RequestError):
    """The request cannot be answered as it is: HTTP 400.

    The message says what was expected and what it got, with row and column where there is one.
    """

    status_code = 400
    reason = "MICROSERVICE_BAD_DATA"


class ModelError(RequestError):
    """The model's own code failed on a good request: HTTP 500."""


class ResultError(ModelError):
    """A method of the model returned `what` cannot be answered."""

    def __init__(self, what: str, method: str = "predict") -> None:
        super().__init__(f"{method} returned {what}")
        self.what = what


class NotReadyError(RequestError):
    """The model is not loaded yet: HTTP 503."""

    status_code = 503
    reason = "MICROSERVICE_NOT_READY"
    retry_after = 1


class DeploymentError(Exception):
    """The server cannot start as it was deployed: exit status 1 and one last log line.

    The message says what was looked for, what is there and how to mend it. It is kept to a
    single line, because platforms show a container's last line to the person who deployed it.
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
    """An exception as `Type: text`, its text cut to the first line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
