"""Read the message of a REST request, in all forms that seldon-core's microservice accepts."""

from typing import TYPE_CHECKING, Any

import pybase64

from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import memory_of, read_json
from prepackaged.server.protocols.seldon.json_reader import read_body, read_prediction
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange

if TYPE_CHECKING:
    from prepackaged.server.protocols.seldon.forms import Form

JSON_TYPE = b"application/json"


def read_message(exchange: Exchange) -> Any:
    """The message of a request, in which bytes are Base64 as in JSON.

    The message is, in this order, a multipart form, the field `json` of a form or of the query, or
    a JSON body. Raises `ClientError` if there is no message.
    """
    if _is_json_alone(exchange):
        _hold_memory(exchange)
        return read_body(exchange.body)
    return _read(exchange, is_decoded=False)


def read_decoded(exchange: Exchange, *, as_lists: bool = False) -> Any:
    """The message of a prediction, in which uploaded bytes are bytes, and numbers may be an array.

    With `as_lists`, arrays stay lists.
    """
    if _is_json_alone(exchange):
        _hold_memory(exchange)
        return read_body(exchange.body) if as_lists else read_prediction(exchange.body)
    return _read(exchange, is_decoded=True)


def read_payload(exchange: Exchange) -> Any:
    """The message as the client sent it, unparsed unless it is a multipart form."""
    form = _form_of(exchange)
    if form.mimetype == "multipart/form-data":
        return _read_parts(form, is_decoded=False)
    return _json_field(form) or exchange.body


def _is_json_alone(exchange: Exchange) -> bool:
    """Whether the message is the JSON body, since there is neither a form nor a query."""
    if exchange.query:
        return False
    for name, value in exchange.headers:
        if name == b"content-type":
            return value == JSON_TYPE or value.partition(b";")[0].strip().lower() == JSON_TYPE
    return False


def _hold_memory(exchange: Exchange) -> None:
    """Reserve memory for a large message's values. Raises `TransportError` if none is left."""
    if len(exchange.body) > LARGE:
        exchange.hold(memory_of(exchange.body))


def _read(exchange: Exchange, *, is_decoded: bool) -> Any:
    _hold_memory(exchange)
    form = _form_of(exchange)
    if form.mimetype == "multipart/form-data":
        return _read_parts(form, is_decoded=is_decoded)
    if text := _json_field(form):
        return read_json(text)
    if not form.is_json:
        raise ClientError(
            "Can't find JSON in data: expected Content-Type: application/json,"
            f" got {form.content_type or 'none'}"
        )
    return read_prediction(exchange.body) if is_decoded else read_body(exchange.body)


def _json_field(form: "Form") -> str | None:
    return form.form.get("json") or form.args.get("json")


def _form_of(exchange: Exchange) -> "Form":
    from prepackaged.server.protocols.seldon.forms import read_form  # only now: it imports Werkzeug

    return read_form(exchange)


def _read_parts(form: "Form", *, is_decoded: bool) -> dict[str, Any]:
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
