"""Flask contexts for models that were written for seldon-core's own server, which uses Flask.

The hooks of such a model may read `flask.request`, and its `model_error_handler`, a blueprint with
`app_errorhandler`s, may respond to its exceptions. For other models, Flask is not imported.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from seldon_core.flask_utils import SeldonMicroserviceException

from prepackaged.errors import ModelError
from prepackaged.server.protocols.seldon.errors import http_failure
from prepackaged.server.protocols.seldon.wsgi import environ_of
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.transport.exchange import Exchange, Response, TransportError

logger = logging.getLogger(__name__)

IMPORT = re.compile(r"^\s*(from|import)\b[^#\n]*\bflask\b", re.MULTILINE)
STATUSES = range(200, 600)  # the statuses of final responses (RFC 9110, 15)
OURS = {"Content-Type", "Content-Length"}  # headers that the server writes itself
NOT_THE_MODELS = {"prepackaged", "seldon_core", *sys.stdlib_module_names}


class FlaskCompat:
    """A Flask application without routes, used for its contexts and error handlers."""

    def __init__(self, model: Any) -> None:
        logger.info("The model uses Flask: it gets one request at a time, which is slower")
        from flask import Flask  # few models need it, and its import takes 0.2 s

        self._app = Flask("prepackaged")
        if blueprint := getattr(model, "model_error_handler", None):
            self._app.register_blueprint(blueprint)
            for kind in (Exception, SeldonMicroserviceException):  # seldon-core answers these
                self._app.register_error_handler(kind, _raise)

    def around(self, context: RequestContext) -> AbstractContextManager[Any]:
        """The context manager around hooks: Flask's request context, or nothing over gRPC."""
        if not isinstance(context, Exchange) or context.method == "gRPC":
            return nullcontext()
        return self._app.request_context(environ_of(context))

    def failure(self, exchange: Exchange, error: BaseException) -> Response:
        """The response to an error over REST: from the model's error handler, else Seldon's."""
        cause = error.__cause__ if type(error) is ModelError else None
        raised = cause if isinstance(cause, Exception) else error
        handled = self._handled(exchange, raised)
        return http_failure(exchange, error) if handled is None else handled

    def _handled(self, exchange: Exchange, error: BaseException) -> Response | None:
        if isinstance(error, TransportError) or not isinstance(error, Exception):
            return None
        with self._app.request_context(environ_of(exchange)):
            try:
                response = self._app.make_response(self._app.handle_user_exception(error))
            except Exception as raised:
                return None if raised is error else http_failure(exchange, raised)
        if response.status_code not in STATUSES:
            why = "expected a status of 200 to 599 of the model's error handler, got"
            return http_failure(exchange, ModelError(f"{why} {response.status_code}"))
        headers = {name: value for name, value in response.headers if name not in OURS}
        content_type = response.content_type or ""
        return Response(response.get_data(), response.status_code, content_type, headers)


def needs_flask(model: Any) -> bool:
    """Whether the model has error handlers, or one of its modules imports Flask.

    Its modules are those of its classes, and others that are loaded from their directories.
    """
    if hasattr(model, "model_error_handler"):
        return True
    return any(IMPORT.search(file.read_text(errors="replace")) for file in _files_of(model))


def _files_of(model: Any) -> Iterator[Path]:
    names = {kind.__module__ for kind in type(model).__mro__}
    own = (sys.modules.get(name) for name in names if name.split(".")[0] not in NOT_THE_MODELS)
    homes = {file.parent for file in map(_file_of, own) if file}
    for file in filter(None, map(_file_of, list(sys.modules.values()))):
        if any(_is_below(home, file) for home in homes):
            yield file


def _is_below(home: Path, file: Path) -> bool:
    """Whether a file is below a directory, but not in a package that is installed there."""
    return file.is_relative_to(home) and "site-packages" not in file.relative_to(home).parts


def _file_of(module: Any) -> Path | None:
    name = getattr(module, "__file__", None)
    return Path(name) if isinstance(name, str) and name.endswith(".py") else None


def _raise(error: Exception) -> NoReturn:
    raise error
