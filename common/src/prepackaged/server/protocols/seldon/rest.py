"""Seldon's REST routes: requests in each of their forms to messages, and answers to bytes."""

import functools
import io
from collections.abc import Callable
from importlib.resources import files
from typing import IO, Any

import pybase64
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.utils import json_to_feedback, seldon_message_to_json
from werkzeug.wrappers import Request as WsgiRequest

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.inference.predictor import Dispatcher, error_for_client
from prepackaged.server.protocols.seldon.errors import error_body, http_status_of
from prepackaged.server.protocols.seldon.json_codec import Prediction, Request, decode, dump, encode
from prepackaged.server.protocols.seldon.json_reader import read_body, read_json, read_prediction
from prepackaged.server.protocols.seldon.wsgi import environ_of
from prepackaged.server.transport.http1.app import HttpError, HttpRequest, HttpResponse, Route
from prepackaged.server.transport.http1.protocol import Respond

PREDICTIONS = ("/predict", "/api/v1.0/predictions", "/api/v0.1/predictions")
FEEDBACK = ("/send-feedback", "/api/v1.0/feedback", "/api/v0.1/feedback")
METHODS = {
    "/transform-input": "transform_input",
    "/transform-output": "transform_output",
    "/route": "route",
    "/aggregate": "aggregate",
}
METHOD_OF = {
    **dict.fromkeys(PREDICTIONS, "predict"),
    **dict.fromkeys(FEEDBACK, "feedback"),
    **METHODS,
}


class Form(WsgiRequest):
    """A form, of any size: the body's is bounded where it is read."""

    max_form_memory_size = None

    def _get_file_stream(self, *sizes: Any, **about: Any) -> IO[bytes]:  # noqa: ARG002
        """Memory for a file's bytes: there may be no place for temporary files."""
        return io.BytesIO()


def routes_of(dispatcher: Dispatcher, *, passes_payload: bool) -> dict[str, dict[str, Route]]:
    """Every route, by path and method (contract A.2).

    With `passes_payload`, predictions go to the model and back as they are, undecoded.
    """
    predict = functools.partial(_pass if passes_payload else _predict, dispatcher)
    feedback = functools.partial(_feedback, dispatcher)
    health = functools.partial(_health, dispatcher)
    metadata = functools.partial(_metadata, dispatcher)
    table: dict[str, dict[str, Route]] = {
        "/health/ping": {"GET": ping},
        "/health/status": {"GET": health},
        "/api/v1.0/health/status": {"GET": health},
        "/metadata": {"GET": metadata},
        "/api/v1.0/metadata": {"GET": metadata},
        "/seldon.json": {"GET": _openapi},
    }
    for path, method in METHODS.items():
        call = functools.partial(_call, dispatcher, method)
        table[path] = {"GET": call, "POST": call}
    for first, paths, route in (
        ("/predict", PREDICTIONS, predict),
        ("/send-feedback", FEEDBACK, feedback),
    ):
        table |= {path: {"POST": route} for path in paths}
        table[first]["GET"] = route
    return table


def short_routes_of(dispatcher: Dispatcher) -> dict[bytes, Callable[..., Any]]:
    """The routes that need no ASGI: predictions, unless the model reads raw messages."""
    if dispatcher.is_raw_over_rest:
        return {}
    handler = functools.partial(_predict_shortly, dispatcher)
    return {path.encode(): handler for path in PREDICTIONS}


def _predict_shortly(
    dispatcher: Dispatcher, asked: HttpRequest, respond: Respond
) -> Callable[[], None] | None:
    try:
        in_parts = asked.is_multipart
        message = read_message(asked, is_decoded=True) if in_parts else read_prediction(asked.body)
        request = decode(message)
        request.set_context(asked)
        work = dispatcher.predict(request, functools.partial(_respond, respond, request))
    except Exception as error:
        _respond_failure(respond, error)
        return None
    return work.cancel


def _respond(respond: Respond, request: Request, outcome: Prediction | BaseException) -> None:
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        body = encode(outcome, request)
    except BaseException as error:
        _respond_failure(respond, error)
    else:
        respond(200, body)


def _respond_failure(respond: Respond, error: BaseException) -> None:
    failed = failure(error)
    headers = "".join(f"{name}: {value}\r\n" for name, value in failed.headers.items())
    respond(failed.status, failed.body, headers.encode())


async def _predict(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:
    if dispatcher.is_raw_over_rest:
        return _raw(await dispatcher.call("predict", read_message(request), request))
    decoded = decode(read_message(request, is_decoded=True))
    decoded.set_context(request)
    return HttpResponse(encode(await dispatcher.predicted(decoded), decoded))


async def _pass(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:
    answer = await dispatcher.call("predict", read_payload(request), request)
    if isinstance(answer, str):
        answer = answer.encode()
    return HttpResponse(answer) if isinstance(answer, bytes) else _raw(answer)


async def _call(dispatcher: Dispatcher, method: str, request: HttpRequest) -> HttpResponse:
    return _json(await dispatcher.call(method, read_message(request), request))


async def _feedback(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:
    feedback = json_to_feedback(read_message(request))
    return _json(seldon_message_to_json(await dispatcher.call("send_feedback", feedback, request)))


async def _health(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:
    return _json(await dispatcher.health(request))


async def _metadata(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a route's shape
    if dispatcher.metadata is None:
        raise SeldonMicroserviceException(
            "Model metadata unavailable", status_code=500, reason="MICROSERVICE_BAD_METADATA"
        )
    return _json(dispatcher.metadata)


async def ping(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a route's shape
    """Alive: the process answers, whatever the model does."""
    return HttpResponse(b"pong", content_type="text/html; charset=utf-8")


async def _openapi(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a route's shape
    return HttpResponse(files("seldon_core").joinpath("openapi/seldon.json").read_bytes())


def _json(message: Any) -> HttpResponse:
    if isinstance(message, bytes):
        return HttpResponse(message)  # encoded already
    return HttpResponse(dump(message) + b"\n")


def _raw(message: Any) -> HttpResponse:
    """A raw answer, whose own status may say which HTTP status it goes with (contract A.4)."""
    status = message.get("status") if isinstance(message, dict) else None
    code = status.get("code", 200) if isinstance(status, dict) else 200
    if not str(code).isdecimal() or int(code) not in range(200, 600):
        raise ModelError(f"expected an HTTP status as status.code of the answer, got {code!r}")
    return HttpResponse(_json(message).body, status=int(code))


def failure(error: BaseException) -> HttpResponse:
    """The answer to an exception, in Seldon's error shape."""
    if isinstance(error, HttpError):
        return HttpResponse(error_body(_of_http(error)), error.status, headers=error.headers)
    told = error_for_client(error)
    seconds = getattr(told, "retry_after", None)
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return HttpResponse(error_body(told), http_status_of(told), headers=headers)


def _of_http(error: HttpError) -> SeldonMicroserviceException:
    reasons = {
        404: "MICROSERVICE_NOT_FOUND",
        405: "MICROSERVICE_METHOD_NOT_ALLOWED",
        503: "MICROSERVICE_OVERLOADED",
    }
    reason = reasons.get(error.status, "MICROSERVICE_BAD_DATA")
    return SeldonMicroserviceException(str(error), status_code=error.status, reason=reason)


def read_message(request: HttpRequest, *, is_decoded: bool = False) -> Any:
    """The message in a request, in the order of precedence of contract A.3.

    With `is_decoded`, bytes and large arrays are not those of JSON, but themselves.
    """
    form = Form(environ_of(request))
    if form.mimetype == "multipart/form-data":
        return _read_parts(form, is_decoded=is_decoded)
    if text := _json_field(form):
        return read_json(text)
    if not form.is_json:
        raise ClientError(
            "Can't find JSON in data: expected Content-Type: application/json,"
            f" got {form.content_type or 'none'}"
        )
    return read_prediction(request.body) if is_decoded else read_body(request.body)


def read_payload(request: HttpRequest) -> Any:
    """What `read_message` would read, left as it came where it is not in parts."""
    form = Form(environ_of(request))
    if form.mimetype == "multipart/form-data":
        return _read_parts(form, is_decoded=False)
    return _json_field(form) or request.body


def _json_field(form: Form) -> str | None:
    return form.form.get("json") or form.args.get("json")


def _read_parts(form: Form, *, is_decoded: bool) -> dict[str, Any]:
    message = {
        name: text if name == "strData" else read_json(text) for name, text in form.form.items()
    }
    for name, part in form.files.items():
        content = part.read()
        part.close()
        if name == "binData":
            message[name] = content if is_decoded else pybase64.b64encode(content).decode()
        else:
            message[name] = _as_text(name, content)
    return message


def _as_text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ClientError(f"expected the file {name} in UTF-8; {error}") from error
