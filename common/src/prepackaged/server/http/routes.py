"""Seldon's REST routes: requests in each of their forms to messages, and answers to bytes."""

import base64
import functools
import io
import json
from collections.abc import Callable
from importlib.resources import files
from typing import IO, Any

import orjson
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.utils import json_to_feedback, seldon_message_to_json
from werkzeug.wrappers import Request as WsgiRequest

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.engine import OverloadedError
from prepackaged.server.http.app import HttpError, HttpRequest, HttpResponse, Route
from prepackaged.server.http.protocol import Respond
from prepackaged.server.seldon.dispatch import Dispatcher, to_tell
from prepackaged.server.seldon.errors import error_body
from prepackaged.server.seldon.messages import Answer, Request, decode, encode, simpler

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
JSON = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_SERIALIZE_NUMPY
    | orjson.OPT_NON_STR_KEYS
)


class Form(WsgiRequest):
    """A form, of any size: the body's is bounded where it is read."""

    max_form_memory_size = None

    def _get_file_stream(self, *sizes: Any, **about: Any) -> IO[bytes]:  # noqa: ARG002
        """Memory for a file's bytes: there may be no place for temporary files."""
        return io.BytesIO()


def routes_of(dispatcher: Dispatcher) -> dict[str, dict[str, Route]]:
    """Every route, by path and method (contract A.2)."""
    predict = functools.partial(_predict, dispatcher)
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
    if dispatcher.has_raw_predict:
        return {}
    handler = functools.partial(_predict_shortly, dispatcher)
    return {path.encode(): handler for path in PREDICTIONS}


def _predict_shortly(
    dispatcher: Dispatcher, body: bytes, respond: Respond
) -> Callable[[], None] | None:
    try:
        request = decode(read_body(body))
        work = dispatcher.predict(request, functools.partial(_respond, respond, request))
    except Exception as error:
        _respond_failure(respond, error)
        return None
    return work.cancel


def _respond(respond: Respond, request: Request, outcome: Answer | BaseException) -> None:
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
    message = read_message(request)
    if dispatcher.has_raw_predict:
        return _raw(await dispatcher.call("predict", message))
    decoded = decode(message)
    return HttpResponse(encode(await dispatcher.predicted(decoded), decoded))


async def _call(dispatcher: Dispatcher, method: str, request: HttpRequest) -> HttpResponse:
    return _json(await dispatcher.call(method, read_message(request)))


async def _feedback(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:
    reply = await dispatcher.call("send_feedback", json_to_feedback(read_message(request)))
    return _json(seldon_message_to_json(reply))


async def _health(dispatcher: Dispatcher, request: HttpRequest) -> HttpResponse:  # noqa: ARG001  a route's shape
    return _json(await dispatcher.health())


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
    return HttpResponse(orjson.dumps(message, option=JSON, default=simpler))


def _raw(message: Any) -> HttpResponse:
    """A raw answer, whose own status may say which HTTP status it goes with (contract A.4)."""
    status = message.get("status") if isinstance(message, dict) else None
    code = status.get("code", 200) if isinstance(status, dict) else 200
    if not str(code).isdecimal() or int(code) not in range(200, 600):
        raise ModelError(f"expected an HTTP status as status.code of the answer; came {code!r}")
    return HttpResponse(_json(message).body, status=int(code))


def failure(error: BaseException) -> HttpResponse:
    """The answer to an exception, in Seldon's error shape."""
    if isinstance(error, HttpError):
        return HttpResponse(error_body(_of_http(error)), error.status, headers=error.headers)
    told = to_tell(error)
    headers = {}
    if isinstance(told, OverloadedError):
        headers["Retry-After"] = str(told.retry_after)
    return HttpResponse(error_body(told), told.status_code, headers=headers)


def _of_http(error: HttpError) -> SeldonMicroserviceException:
    reasons = {404: "MICROSERVICE_NOT_FOUND", 405: "MICROSERVICE_METHOD_NOT_ALLOWED"}
    reason = reasons.get(error.status, "MICROSERVICE_BAD_DATA")
    return SeldonMicroserviceException(str(error), status_code=error.status, reason=reason)


def read_json(text: bytes | str) -> Any:
    """A JSON value. NaN and infinity are read too, as Python's own reader does."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ClientError(f"Can't find JSON in data: {error}") from error


def read_body(body: bytes) -> Any:
    """The JSON value that is a request's body; null is none."""
    message = read_json(body)
    if message is None:
        raise ClientError("Can't find JSON in data: it is null")
    return message


def read_message(request: HttpRequest) -> Any:
    """The message in a request, in the order of precedence of contract A.3."""
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    form = Form(_environ(request, content_type))
    if form.mimetype == "multipart/form-data":
        return _read_parts(form)
    text = form.form.get("json") or form.args.get("json")
    if text:
        return read_json(text)
    if not form.is_json:
        raise ClientError(
            "Can't find JSON in data: expected Content-Type: application/json;"
            f" came {content_type or 'none'}"
        )
    return read_body(request.body)


def _read_parts(form: Form) -> dict[str, Any]:
    message = {
        name: text if name == "strData" else read_json(text) for name, text in form.form.items()
    }
    for name, part in form.files.items():
        content = part.read()
        part.close()
        is_binary = name == "binData"
        try:
            message[name] = (base64.b64encode(content) if is_binary else content).decode()
        except UnicodeDecodeError as error:
            raise ClientError(f"expected the file {name} in UTF-8; {error}") from error
    return message


def _environ(request: HttpRequest, content_type: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query.decode("latin-1"),
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
    }
