"""A Model that uses Flask, on which upstream's server is built."""

from typing import Any

import flask
from flask import Blueprint, jsonify, request
from seldon_core.flask_utils import SeldonMicroserviceException


class TeapotError(Exception):
    """An exception with a handler in the model."""


class ShyTeapotError(TeapotError):
    """A subclass of an exception with a handler."""


def asked() -> dict[str, Any]:
    """The parts of Flask's request that tests compare."""
    return {
        "caller": request.headers.get("X-Caller"),
        "agent": request.headers["user-agent"],
        "method": request.method,
        "path": request.path,
        "query": request.args.to_dict(),
        "form": request.form.to_dict(),
        "files": sorted(request.files),
        "json": request.get_json(silent=True),
        "type": request.mimetype,
    }


class Flasky:
    """Every hook reads Flask's request, and predict raises the error that the text names."""

    model_error_handler = Blueprint("errors", __name__)

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        if isinstance(X, str) and X in ERRORS:
            raise ERRORS[X]
        return asked() | {"in_grpc": not flask.has_request_context()}

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:
        return asked()

    def transform_output(self, X: Any, names: Any, meta: Any = None) -> Any:
        return asked()

    def route(self, X: Any, names: Any) -> int:
        return int(request.headers["X-Caller"])

    def aggregate(self, Xs: Any, names: Any) -> Any:
        return asked()

    def send_feedback(self, X: Any, names: Any, reward: float, truth: Any, routing: Any) -> Any:
        return [[int(request.headers["X-Caller"])]]

    def health_status(self) -> Any:
        return request.headers["X-Caller"]

    def tags(self) -> dict[str, Any]:
        return {"caller": request.headers["X-Caller"]}

    def metrics(self) -> list[dict[str, Any]]:
        return [{"type": "GAUGE", "key": "caller", "value": int(request.headers["X-Caller"])}]


@Flasky.model_error_handler.app_errorhandler(TeapotError)
def answer_teapot(error: TeapotError) -> Any:
    """Answer the model's own exception."""
    response = jsonify({"teapot": str(error), "caller": request.headers["X-Caller"]})
    response.status_code = 418
    response.headers["X-Teapot"] = "short and stout"
    return response


@Flasky.model_error_handler.app_errorhandler(KeyError)
def fail_again(error: KeyError) -> Any:
    """Fail in the handler."""
    raise ValueError("the handler is broken")


@Flasky.model_error_handler.app_errorhandler(Exception)
@Flasky.model_error_handler.app_errorhandler(SeldonMicroserviceException)
def never_called(error: Exception) -> Any:
    """Never runs: upstream registers its own handlers of these later, and they win."""
    return "never", 418


ERRORS: dict[str, Exception] = {
    "teapot": TeapotError("tip me over"),
    "shy teapot": ShyTeapotError("please do not"),
    "broken handler": KeyError("no such key"),
    "other": ValueError("no handler's"),
    "seldon's": SeldonMicroserviceException("forbidden", status_code=403, reason="FORBIDDEN"),
}
